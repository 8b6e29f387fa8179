"""An operator asks the console alone why a site is slow or down."""

import re
from collections.abc import Callable
from html import unescape

import pytest

from tests.backend import Backend
from tests.controllers import needs_controllers
from tests.eventually import eventually

SLOW_APP = """\
import ledger
def application(environ, start_response):
    start_response("200 OK", [])
    return []
"""
SLOW_MODULE = """\
import time
print("waiting for db7.internal", flush=True)
time.sleep(1.2)
"""


@pytest.fixture
def backend(start: Callable[..., Backend]) -> Backend:
    """A backend that keeps the past."""
    return start(learns=True)


def page(backend: Backend, path: str = "") -> str:
    """A page of the console, as text without tags."""
    status, html = backend.call("GET", f"/console/{path}")
    assert status == 200, html
    return " ".join(unescape(re.sub("<[^>]*>", " ", html)).split())


@needs_controllers
def test_the_console_names_the_causes_of_failures(backend: Backend) -> None:
    backend.expect("(missing|hog).example: .* → ")
    backend.nginx.expect("upstream prematurely closed connection")
    app = backend.folder / "slow.py"
    app.write_text(SLOW_APP)
    (backend.folder / "ledger.py").write_text(SLOW_MODULE)
    path = {"pythonpath": str(backend.folder)}
    backend.drop("slow.example", backend.ini("slow.example", str(app), **path))
    backend.add("missing.example", "broken.py")
    hog = backend.ini("hog.example", "hog.py", need_app="true")
    backend.drop("hog.example", f"{hog}master = false\n[emperor]\nmemory-max = 60M\n")
    backend.until("hog.example", "parked")
    agent = {"User-Agent": "goat/1.0 <b>"}
    assert backend.get("slow.example", "/checkout", agent).status == 200
    assert backend.get("missing.example").status == 503
    assert backend.get("hog.example", "/memory").status in (502, 503)
    eventually(lambda: "hog.example" in page(backend), what="the kill is told")

    overview = page(backend)
    assert re.search("missing.example failed.* cannot load the app: Module", overview)
    assert "memory-max = 60M is reached, and the kernel killed a process; raise" in overview
    assert re.search(r"root memory-max [1-9]", overview)
    assert re.search("The last 60 minutes: [3-9] starts, [1-9] failure", overview)

    assert re.search(r"Slow to start .* slow.example \d\.\d s its next start will tell", overview)

    missing = page(backend, "vassals/missing.example")
    assert "What is wrong cannot load the app: ModuleNotFoundError" in missing
    assert "start failed , by a hit from 127.0.0.1 for GET /" in missing
    assert "memory-max 60M" in page(backend, "vassals/hog.example")
    status = backend.detail("slow.example")["status"]
    assert status["memory_peak_bytes"] > 1 << 20
    assert backend.detail("missing.example")["status"]["memory_peak_bytes"] is None
    slow = page(backend, "vassals/slow.example")
    assert re.search(r"Its last start took \d\.\d s, \d+ % of it in the phase load", slow)
    assert "by a hit from 127.0.0.1 for GET /checkout goat/1.0 <b>" in slow
    assert "waiting for db7.internal" in slow
    assert "Its next start will tell which modules take the time" in slow
    # A restart is such a start.
    status, _ = backend.call("POST", "/v1/vassals/slow.example/restart")
    assert status == 200
    slow = page(backend, "vassals/slow.example")
    assert re.search(r"It starts slowly .* \d\.\d s \(\d+ %\) in ledger", slow)
    assert re.search(r"slow.example \d\.\d s \d\.\d s \(\d+ %\) in ledger", page(backend))
    # The slowest stands first in the list.
    [first, *_] = re.findall(
        r"(\w+)\.example (?:running|parked)", page(backend, "vassals?sort=wake")
    )
    assert first == "slow"


def test_the_ini_has_remarks_beside_its_lines(backend: Backend) -> None:
    backend.drop("a.example", backend.ini("a.example", master="false"))
    backend.until("a.example", "parked")
    _, html = backend.call("GET", "/console/vassals/a.example")
    lines = re.findall("<li><code>(.*?)</code>(.*?)</li>", html)
    [said] = [remark for line, remark in lines if line == "master = false"]
    assert "emperord runs it with a master all the same, which obeys its orders; drop" in said
    assert all(not remark for line, remark in lines if line != "master = false")
    # A newer version that cannot be used is shown with its error.
    backend.expect("a.example")
    backend.drop("a.example", "[uwsgi]\nsocket = /x\n= x\n")
    eventually(lambda: backend.detail("a.example")["ini_error"], what="it is refused")
    assert "error" in page(backend, "vassals/a.example").partition("Its ini")[2]
