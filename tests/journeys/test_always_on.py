"""`always = true` and `idle = 0` mean always, and who ends an app by hand breaks nothing."""

import os
import re
import signal
from pathlib import Path

from tests.backend import APPS, Backend
from tests.eventually import eventually

PAGE = Path(__file__).parents[2] / "docs" / "always-on.md"


def test_an_app_that_never_sleeps_runs_without_a_request(backend: Backend) -> None:
    beat = backend.folder / "beat"
    block = re.search(r"(?s)```ini\n(.*?)```", PAGE.read_text(encoding="utf-8"))
    assert block
    app = f"{APPS}/plain.py\ncron = -1 -1 -1 -1 -1 touch {beat}"
    backend.drop("a.example", block[1].replace("/srv/www.example.com/application.py", app))
    backend.until("a.example", "running")
    pid = backend.leader("a.example")
    backend.process.send_signal(signal.SIGHUP)
    eventually(lambda: backend.lines("took over 1 vassals"))
    assert backend.leader("a.example") == pid
    eventually(beat.exists, seconds=120, what="cron has run")
    assert backend.call("POST", "/v1/vassals/a.example/sleep")[0] == 200
    assert backend.call("POST", "/v1/rescan")[0] == 200
    assert backend.state("a.example") == "parked"


def wrote(order: bytes, fifo: Path) -> bool:
    """Write to a FIFO that is read. A worker answers before its master has made the FIFO anew."""
    try:
        fd = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return False
    with open(fd, "wb") as file:
        file.write(order)
    return True


def test_an_app_that_is_told_to_quit_is_no_failure(backend: Backend) -> None:
    fifo = backend.folder / "fifo"
    backend.add("a.example", master_fifo=str(fifo))
    for _ in range(3):
        assert backend.get("a.example").status == 200
        eventually(lambda: wrote(b"q", fifo), what="uWSGI reads its FIFO")
        backend.until("a.example", "parked")
    assert backend.get("a.example").status == 200
    vassal = backend.vassal("a.example")
    assert vassal and vassal["consecutive_failures"] == 0


def test_an_app_that_is_hung_up_by_hand_loses_no_request(backend: Backend) -> None:
    backend.add("a.example")
    for _ in range(4):
        assert backend.get("a.example").status == 200
        os.kill(backend.leader("a.example"), signal.SIGHUP)
        assert backend.get("a.example").status == 200
    vassal = backend.vassal("a.example")
    assert vassal and vassal["consecutive_failures"] == 0
