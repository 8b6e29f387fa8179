"""A site in maintenance answers 503, and nothing wakes its app."""

import os
import re
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from tests.backend import BIN, Backend
from tests.eventually import eventually

PAGE = Path(__file__).parents[2] / "docs" / "maintenance.md"
SITE, OPEN = "www.example.com", "open.example.com"


def emperorctl(backend: Backend, line: str) -> "subprocess.CompletedProcess[str]":
    """Run a command line of the documentation."""
    program, *arguments = line.split()
    assert program == "emperorctl"
    return subprocess.run(
        [BIN / program, "--run-dir", backend.run_dir, *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def is_closed(backend: Backend, site: str) -> None:
    """Nobody gets in, and nothing is started."""
    page = backend.browse(site)
    assert (page.status, page.headers["retry-after"]) == (503, "60")
    assert "Under maintenance" in page.text
    assert site in page.text
    for reply in (backend.get(site), backend.post(site, b"pay")):
        assert (reply.status, reply.headers["retry-after"]) == (503, "60")
    # Root passes a barred door.
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(backend.sockets / site / "socket"))
        assert client.recv(100).startswith(b"HTTP/1.1 503 ")
    vassal = backend.vassal(site)
    assert vassal
    assert (vassal["state"], vassal["pid"]) == ("parked", None)
    assert vassal["maintenance_since"]


@pytest.mark.parametrize("activation", ["fallback", "socket"])
def test_the_commands_of_the_page_close_and_open_a_site(backend: Backend, activation: str) -> None:
    block = re.search(r"(?s)```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"))
    assert block
    begin, end = block[1].splitlines()
    section = f"[emperor]\nactivation = {activation}\n"
    backend.drop(SITE, backend.ini(SITE) + section)
    backend.until(SITE, "parked")
    assert backend.get(SITE).status == 200

    done = emperorctl(backend, begin)
    assert (done.returncode, done.stdout) == (0, f"{SITE}: parked, in maintenance\n")
    is_closed(backend, SITE)
    refused = emperorctl(backend, f"emperorctl start {SITE}")
    assert refused.returncode == 1
    assert end in refused.stderr
    # A changed ini, a crash, an upgrade and an orderly stop of the daemon.
    backend.drop(SITE, backend.ini(SITE, app="environ.py") + section)
    backend.crash()
    is_closed(backend, SITE)
    backend.process.send_signal(signal.SIGHUP)
    eventually(lambda: backend.lines("took over 1 vassals"))
    is_closed(backend, SITE)
    assert backend.stop() == 0
    backend.start()
    is_closed(backend, SITE)
    assert end in emperorctl(backend, f"emperorctl why {SITE}").stdout
    assert "1 in maintenance" in emperorctl(backend, "emperorctl status").stdout

    done = emperorctl(backend, end)
    assert (done.returncode, done.stdout) == (0, f"{SITE}: parked\n")
    assert backend.get(SITE).status == 200
    assert emperorctl(backend, begin.replace(SITE, "nobody.example.com")).returncode == 3


def test_requests_in_progress_end_and_queued_ones_get_503(backend: Backend) -> None:
    gate, runs = backend.folder / "gate", backend.folder / "runs"
    os.mkfifo(gate)
    backend.add(SITE, env=f"RUNS={runs}")
    backend.add(OPEN)
    assert backend.get(SITE).status == 200
    replies: dict[str, int] = {}

    def ask(path: str) -> None:
        replies[path] = backend.post(SITE, b"pay", path).status

    begun = threading.Thread(target=ask, args=(f"/?id=begun&gate={gate}",))
    begun.start()
    eventually(lambda: "POST begun" in runs.read_text())
    queued = threading.Thread(target=ask, args=("/?id=queued",))
    queued.start()
    eventually(lambda: (vassal := backend.vassal(SITE)) and vassal["queued"] == 1)
    begin = f"emperorctl maintenance {SITE} on"
    order = threading.Thread(target=emperorctl, args=(backend, begin))
    order.start()
    eventually(lambda: backend.state(SITE) == "stopping")
    assert backend.get(SITE).status == 503, "at once, while the app finishes"
    assert backend.get(OPEN).status == 200
    with gate.open("wb"):
        for thread in (begun, queued, order):
            thread.join()
    assert replies == {f"/?id=begun&gate={gate}": 200, "/?id=queued": 503}
    assert "POST queued" not in runs.read_text()
    assert emperorctl(backend, f"emperorctl maintenance {SITE} off").returncode == 0
