"""An administrator's own server blocks of nginx, beside the shipped files (docs/moving.md)."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.examples.backend import SHIPPED
from tests.backend import Backend
from tests.nginx_server import Nginx

PAGE = SHIPPED.parent / "docs" / "moving.md"
DOMAIN = "shop.example"


def own_blocks(nginx: Nginx, files: Path) -> str:
    """The server blocks of the page, with the ports, files and certificate of this test."""
    blocks: list[str] = re.findall(r"```nginx\n(.*?)```", PAGE.read_text(), re.DOTALL)
    [text] = blocks
    for pattern, by in {
        r" *listen \[::\]:.*\n| *ssl_certificate.*\n": "",
        r"listen 80;": f"listen 127.0.0.1:{nginx.port};",
        r"listen 443 ssl;": f"listen 127.0.0.1:{nginx.tls_port} ssl;",
        r"/srv/shop/static/": f"{files}/",
    }.items():
        text, times = re.subn(pattern, by, text)
        assert times
    return text


@pytest.fixture
def site(folder: Path) -> Iterator[Backend]:
    """A backend whose nginx has the blocks of the page. The name of their ini is no host name."""
    files = folder / "static"
    files.mkdir()
    (files / "a.css").write_text("body {}")
    nginx = Nginx(folder)
    shipped = nginx.conf.read_text().rstrip().removesuffix("}")
    nginx.conf.write_text(f"{shipped}{own_blocks(nginx, files)}}}\n")
    with nginx, Backend(folder, nginx) as backend:
        backend.add("shop")
        yield backend


def test_an_own_block_wakes_the_app_and_serves_files(site: Backend) -> None:
    assert site.get(DOMAIN, "/static/a.css").body == b"body {}"
    assert site.state("shop") == "parked"
    assert site.get(DOMAIN).status == 200
    assert site.state("shop") == "running"
    assert site.get(DOMAIN).status == 200


def test_a_page_shows_the_visitors_host_and_not_the_apps_name(site: Backend) -> None:
    assert site.call("POST", "/v1/vassals/shop/maintenance-on")[0] == 200
    text = site.browse(DOMAIN).text
    assert DOMAIN in text
    assert ">shop<" not in text
    assert site.call("POST", "/v1/vassals/shop/maintenance-off")[0] == 200


def test_the_redirect_of_an_own_block_wakes_no_app(site: Backend) -> None:
    reply = site.get(f"www.{DOMAIN}", "/a?b=c")
    assert (reply.status, reply.headers["location"]) == (301, f"http://{DOMAIN}/a?b=c")
    assert site.state("shop") == "parked"


def test_every_other_host_is_served_as_before(site: Backend) -> None:
    site.add("other.example")
    assert site.get("other.example").status == 200
    assert site.get("none.example").status == 404
