"""Makes the HTML of the console's pages from their views.

Every text passes one gate: what is markup is escaped, and a character that could reorder or hide
others is written out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.resources import files
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined

from emperor.model import text
from emperor.model.slow_imports import told

_CONTENT_TYPES = {
    "console.css": "text/css",
    "console.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Static:
    """A file beside the pages. `version` changes with its content."""

    body: bytes
    content_type: str

    @property
    def version(self) -> str:
        """A part of the hash of the file."""
        return sha256(self.body).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Frame:
    """What each page has around its content. `root` is the path of the console, relative to the
    page; `section` is the entry of the menu; `live` has the query of the events that change the
    page, None: nothing changes it. `token` is for its forms."""

    title: str
    section: str
    root: str
    token: str
    who: str
    is_administrator: bool
    now: datetime
    live: str | None = None


class Renderer:
    """The templates, and the files beside them. It takes a tenth of a second to make."""

    def __init__(self) -> None:
        folder = files("emperor.web.console") / "static"
        self.static = {
            name: Static((folder / name).read_bytes(), content_type)
            for name, content_type in _CONTENT_TYPES.items()
        }
        self._environment = Environment(
            loader=PackageLoader("emperor.web.console"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_shown,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals |= {
            "versions": {name: static.version for name, static in self.static.items()}
        }
        self._environment.filters |= _FILTERS
        # All are read now: from the installation of a newer version to the upgrade, those on the
        # disk do not fit this code.
        for name in self._environment.list_templates():
            self._environment.get_template(name)

    def html(self, template: str, frame: Frame, view: object) -> bytes:
        """The page; takes milliseconds, so it is called in a thread."""
        found = self._environment.get_template(f"{template}.html")
        return found.render(frame=frame, view=view).encode(errors="backslashreplace")


def _shown(value: Any) -> Any:
    """A value as it is put out. Markup of the templates' own is left alone."""
    if value is None:
        return ""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return text.plain(value, keep="\n\t")


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def _query(parts: Mapping[str, str | int], **others: str | int) -> str:
    """The query of a link: `parts`, with `others` in their place, without what is empty."""
    found = {name: value for name, value in {**parts, **others}.items() if value not in ("", None)}
    return f"?{urlencode(found)}" if found else "?"


_FILTERS: dict[str, Callable[..., Any]] = {
    "segment": lambda name: quote(name, safe=""),
    "memory": text.memory,
    "since": text.since,
    "until": text.until,
    "duration": text.duration,
    "clock": text.clock,
    "cpu": text.cpu,
    "took": text.took,
    "iso": _iso,
    "query": _query,
    "slow_import": lambda each: told((each,)),
}
