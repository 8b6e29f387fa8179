"""`make pictures`: takes the pictures of the console in docs/pictures, in a browser on a backend
with apps that serve, sleep and fail.

    python -m tests.browser.pictures [FOLDER]
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, sync_playwright

from tests.attacks.tenants import ALICE, MALLORY, Tenants
from tests.backend import APPS, with_state
from tests.browser.console import NARROW, Entry, entered, launched, shown
from tests.nginx_server import Nginx
from tests.traces import public_folder

_FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
_SITE = "www.bakery.example"
_FAILING = "shop.tailor.example"
_AWAKE = (_SITE, "blog.bakery.example", "www.chess-club.example", "wiki.school.example")
_ASLEEP = ("www.cycling.example", "tickets.theatre.example", "www.garden.example",
           "forum.radio.example", "api.weather.example", "www.museum.example")  # fmt: skip
_FOLDERS = {
    "vassals": "/etc/uwsgi/vassals", "sockets": "/var/sockets", "logs": "/var/log/emperord",
}  # fmt: skip
_RENAME = """\
(names) => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    for (const [here, there] of Object.entries(names)) {
      texts.currentNode.data = texts.currentNode.data.replaceAll(here, there);
    }
  }
}
"""
_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@dataclass(frozen=True, slots=True)
class Picture:
    """A page of the console, in a window of that size."""

    name: str
    path: str
    width: int = 1000
    height: int = 640
    scheme: Literal["dark", "light"] = "light"


PICTURES = (
    Picture("console-overview", "", height=570),
    Picture("console-vassal", f"vassals/{_SITE}", height=660),
    Picture("console-dark", "vassals", scheme="dark", height=480),
    Picture("console-phone", f"vassals/{_FAILING}", width=NARROW, height=640),
)


def populate(backend: Tenants) -> None:
    """Add the apps, and have some of them wake, and one fail."""
    for number, domain in enumerate((*_AWAKE, *_ASLEEP)):
        tenant = (ALICE, MALLORY, "root")[number % 3]
        backend.host(tenant, domain, env=f"BOOT_SECONDS=0.{number + 1}")
    backend.expect(_FAILING)
    backend.host(ALICE, _FAILING, "broken.py")
    for domain, path in ((each, path) for path in ("/", "/menu") for each in _AWAKE):
        visit(backend, domain, path)
        if path == "/":
            backend.call("POST", f"/v1/vassals/{domain}/sleep")
    visit(backend, _FAILING, "/basket")
    backend.until(_FAILING, "throttled")


def visit(backend: Tenants, domain: str, path: str) -> None:
    """A visitor's request."""
    backend.get(domain, path, {"User-Agent": _AGENT, "Accept": "text/html"})


def take(browser: Browser, entry: Entry, picture: Picture, place: Path, folder: Path) -> None:
    """Take a picture of the part of a page that a window shows first. The folders in `place` have
    the names that they have on a machine."""
    view: Any = {"width": picture.width, "height": picture.height}
    context = browser.new_context(
        storage_state=entry.state, color_scheme=picture.scheme, viewport=view
    )
    page = context.new_page()
    page.goto(entry.address + picture.path)
    page.locator("body[data-live=yes]").wait_for()
    names = {str(place / name): path for name, path in _FOLDERS.items()}
    page.evaluate(_RENAME, {**names, str(APPS): "/srv/tailor"})
    page.screenshot(path=folder / f"{picture.name}.png")
    context.close()


def main(folder: Path) -> None:
    """Take all pictures."""
    with public_folder() as place, Nginx(place) as nginx:
        backend = Tenants(place, nginx, throttle_first="300", throttle_max="600")
        backend.under = with_state(place)
        with backend, shown(backend.run_dir) as link, sync_playwright() as playwright:
            populate(backend)
            browser = launched(playwright)
            entry = entered(browser, link)
            for picture in PICTURES:
                take(browser, entry, picture, place, folder)
            browser.close()


if __name__ == "__main__":
    main(Path(*sys.argv[1:]) if sys.argv[1:] else _FOLDER)
