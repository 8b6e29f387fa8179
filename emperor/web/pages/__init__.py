"""The pages that a visitor may see in the place of the app, in HTML and in plain text.

Text of a visitor or a tenant is escaped. No page tells the cause of a failure. `own_pages` reads
the pages that an administrator writes.
"""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from emperor.model.unavailable import MAINTENANCE_RETRY_SECONDS
from emperor.web.pages.late_pages import LatePages

# What emperord's own page has of Jinja2's language.
_BLOCK = re.compile(r"(?:\s*\{%-|\{%) if (\w+) %\}(.*?)(?:\s*\{%-|\{%) endif %\}", re.DOTALL)
_NAME = re.compile(r"\{\{ (\w+) \}\}")


@dataclass(frozen=True, slots=True)
class Wording:
    """The text of a page, its HTTP status, and after how many seconds a browser asks again. `file`
    is the name of an administrator's own page in its place."""

    status: int
    title: str
    text: str
    refresh_seconds: int | None = None
    file: str = "error.html"


class Page(Enum):
    """The answers of activate.sock that are not the app's."""

    WAITING = Wording(
        503,
        "Starting up",
        "This site was asleep and is starting now. The page will load by itself.",
        refresh_seconds=1,
        file="waiting.html",
    )
    UNKNOWN = Wording(404, "No such site", "There is no site of this name here.", file="404.html")
    NO_DOMAIN = Wording(400, "Not a host name", "The request names no host that could be served.")
    BROKEN = Wording(
        503,
        "Temporarily unavailable",
        "This site could not be started. It will be tried again shortly; its owner can see why.",
    )
    MAINTENANCE = Wording(
        503,
        "Under maintenance",
        "This site is closed while work is done on it. The page will load by itself afterwards.",
        refresh_seconds=MAINTENANCE_RETRY_SECONDS,
        file="maintenance.html",
    )
    REFUSED = Wording(
        503,
        "Temporarily unavailable",
        "This site is not set up as it must be. Its owner can see why, and mend it.",
    )
    FAILED = Wording(
        502,
        "The site failed",
        "The application failed while it handled this request, which was not repeated.",
    )
    NO_DOWNLOAD = Wording(
        502,
        "No such download",
        "The application named a file that this server does not send for it.",
    )
    LARGE_HEAD = Wording(431, "Too large a request", "The headers of this request are too large.")
    CROWDED = Wording(
        503,
        "Too many visitors",
        "Too many requests wait for this site to start. The page will be tried again by itself.",
        refresh_seconds=5,
    )
    ELSEWHERE = Wording(
        503,
        "Temporarily unavailable",
        "This site is moving between two servers. The page will be tried again by itself.",
        refresh_seconds=5,
    )
    LATE = Wording(
        503, "Temporarily unavailable", "This site takes too long to start. Please try again."
    )
    UNSURE = Wording(
        503,
        "Temporarily unavailable",
        "It is not known right now whether there is a site of this name here. Please try again.",
    )
    STOPPING = Wording(
        503, "Temporarily unavailable", "This site is being stopped. Please try again in a moment."
    )


# The names of an administrator's own pages.
FILES = tuple(dict.fromkeys(page.value.file for page in Page))


@dataclass(frozen=True, slots=True)
class Visit:
    """What a page tells beside its text. `vassal` is the domain of the app, None if there is none.
    `estimate` is a sentence about the time that the start takes, or empty."""

    domain: str
    request_id: str
    vassal: str | None
    estimate: str = ""


class Pages:
    """Renders pages: those in the folder `own`, or else emperord's."""

    def __init__(self, own: Path) -> None:
        self._own = LatePages(own)
        self._page = Path(__file__).with_name("page.html").read_text(encoding="utf-8")

    def html(self, page: Page, visit: Visit) -> str:
        """The page for a browser."""
        wording = page.value
        values: dict[str, str | int | None] = {
            "status": wording.status,
            "title": wording.title,
            "text": wording.text,
            "estimate": visit.estimate,
            "refresh_seconds": wording.refresh_seconds,
            "domain": visit.domain,
            "request_id": visit.request_id,
        }
        template = self._own.find(wording.file, visit.vassal)
        return template.render(values) if template else filled(self._page, values)

    def text(self, page: Page) -> str:
        """The page for a program."""
        return f"{page.value.title}. {page.value.text}\n"


def filled(source: str, values: Mapping[str, str | int | None]) -> str:
    """What Jinja2 makes of a page that has `{{ NAME }}` and blocks of `{% if NAME %}` alone, none
    in another."""
    shown = _BLOCK.sub(lambda block: block[2] if values[block[1]] else "", source)
    return _NAME.sub(lambda name: html.escape(str(values[name[1]])), shown)
