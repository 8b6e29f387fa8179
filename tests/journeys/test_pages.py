"""Pages of the administrator's own, through nginx."""

from collections.abc import Callable
from pathlib import Path

from tests.backend import Backend

HOST = "a.example"


def test_visitors_see_the_administrators_pages(start: Callable[..., Backend], folder: Path) -> None:
    pages = folder / "pages"
    pages.mkdir()
    (pages / "404.html").write_text("nothing at {{ domain }}")
    (pages / "waiting.html").write_text("wait {{ estimate }}")
    backend = start(pages_dir=str(pages), page_after="0", throttle_first="60")
    reply = backend.browse("none.example")
    assert (reply.status, reply.text) == (404, "nothing at none.example")
    assert reply.headers["content-type"].startswith("text/html")
    assert backend.get("none.example").text.startswith("No such site."), "no program gets HTML"

    backend.add(HOST)
    assert backend.browse(HOST).text == "wait "
    backend.until(HOST, "running")
    assert backend.call("POST", f"/v1/vassals/{HOST}/sleep")[0] == 200
    assert backend.browse(HOST).text.startswith("wait It will take about ")
    backend.until(HOST, "running")

    backend.expect("broken.example: starting → throttled")
    (pages / "broken.example").mkdir()
    (pages / "broken.example" / "error.html").write_text("{{ status }} of {{ domain }}")
    backend.add("broken.example", "nosuch.py")
    assert backend.get("broken.example").status == 503
    assert backend.browse("broken.example").text == "503 of broken.example"


def test_a_broken_page_is_replaced_and_logged_with_its_line(
    start: Callable[..., Backend], folder: Path
) -> None:
    pages = folder / "pages"
    pages.mkdir()
    (pages / "404.html").write_text("a line\n{{ nosuch }}")
    backend = start(pages_dir=str(pages))
    backend.expect("cannot use .*/404.html: line 2: there is no 'nosuch'")
    for _ in range(2):
        assert "<h1>No such site</h1>" in backend.browse("none.example").text
    assert len(backend.lines("cannot use .*/404.html: line 2")) == 1
