"""One browser and one backend for each module."""

import platform
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.console import CHROMIUM, Entry, entered, launched, shown
from tests.browser.site import Site
from tests.nginx_server import Nginx
from tests.traces import public_folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None and platform.freedesktop_os_release()["ID"] == "ubuntu":
        pytest.skip("Ubuntu's Chromium is a snap; name a browser in the variable CHROMIUM")
    with sync_playwright() as playwright:
        browser = launched(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A backend with apps that serve, that fail, and that belong to tenants."""
    with public_folder() as folder, Nginx(folder) as nginx, Site(folder, nginx) as site:
        site.populate()
        yield site


@pytest.fixture(scope="module")
def entry(browser: Browser, site: Site) -> Iterator[Entry]:
    """The console that root has opened, and a browser that is in it."""
    with shown(site.run_dir) as link:
        yield entered(browser, link)
