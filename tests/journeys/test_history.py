"""What an operator is told of the past: through restarts, an upgrade, and the loss of the file."""

import json
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.backend import BIN, Backend
from tests.eventually import eventually


@pytest.fixture
def backend(start: Callable[..., Backend]) -> Backend:
    """A backend that keeps the past."""
    return start(learns=True)


def _history(backend: Backend, domain: str) -> Any:
    status, history = backend.call("GET", f"/v1/vassals/{domain}/history")
    assert status == 200
    assert history["why_none"] is None
    return history


def _starts(backend: Backend, domain: str) -> list[tuple[str, str]]:
    return [(each["cause"], each["outcome"]) for each in _history(backend, domain)["starts"]]


def _ctl(backend: Backend, *arguments: str) -> str:
    command = [str(BIN / "emperorctl"), "--run-dir", str(backend.run_dir), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout


def _restart(backend: Backend) -> None:
    assert backend.stop() == 0
    backend.start()


def test_the_past_outlasts_a_crash_an_upgrade_and_a_stop(backend: Backend) -> None:
    backend.expect("b.example: starting → throttled")
    backend.add("a.example")
    backend.drop("b.example", backend.ini("b.example", "broken.py"))
    backend.until("b.example", "parked")
    assert backend.get("a.example", "/cart", {"User-Agent": "goat/1.0"}).status == 200
    assert backend.get("b.example").status == 503
    assert backend.call("POST", "/v1/vassals/a.example/sleep")[0] == 200
    # It is in the file within a second or so, without anybody who asks.
    wal = backend.kept / "history.db-wal"
    eventually(lambda: b"goat/1.0" in wal.read_bytes(), what="the wake is written")
    backend.crash()
    assert backend.get("a.example").status == 200
    served = len(backend.lines("serving"))
    backend.process.send_signal(signal.SIGHUP)
    eventually(lambda: len(backend.lines("serving")) > served, what="the upgrade is done")
    _restart(backend)
    history = _history(backend, "a.example")
    assert _starts(backend, "a.example") == [("hit", "accepted"), ("hit", "accepted")]
    wake = history["starts"][0]["wake"]
    assert (wake["method"], wake["path"], wake["agent"]) == ("GET", "/cart", "goat/1.0")
    assert 0 < wake["spawned_ms"] < wake["accepting_ms"] < wake["first_reply_ms"]
    reasons = [stop["reason"] for stop in history["stops"]]
    assert reasons == ["emperorctl sleep by uid 0", "emperord stops"]
    assert sum(hour["hits"] for hour in history["hours"]) == 2
    [failed] = _history(backend, "b.example")["starts"]
    assert failed["outcome"] == "failed"
    assert "broken.py" in failed["error"] or "Error" in failed["error"]
    told = _ctl(backend, "why", "a.example", "--history")
    assert "for GET /cart, agent goat/1.0" in told
    stats = json.loads(_ctl(backend, "stats", "--json"))
    numbers = {row["name"]: (row["wakes"], row["failures"]) for row in stats["vassals"]}
    assert numbers == {"a.example": (2, 0), "b.example": (1, 1)}


def test_the_loss_of_the_file_costs_the_history_alone(backend: Backend) -> None:
    file = backend.kept / "history.db"
    backend.add("a.example")
    assert backend.get("a.example").status == 200
    assert backend.stop() == 0
    file.write_bytes(b"x" * 5000)
    backend.expect("the history is damaged")
    backend.start()
    assert backend.get("a.example").status == 200
    assert _starts(backend, "a.example") == [("hit", "accepted")]
    (backend.kept / "history.db.damaged").unlink()
    backend.expect("the history in .* was removed")
    for path in backend.kept.glob("history.db*"):
        path.unlink()
    assert _starts(backend, "a.example") == []
    assert backend.stop() == 0
    file.unlink()
    file.mkdir()
    backend.expect("cannot keep the history in .*: Is a directory; the apps are not affected")
    backend.start()
    assert backend.get("a.example").status == 200
    assert backend.call("POST", "/v1/vassals/a.example/sleep")[0] == 200
    answer = backend.call("GET", "/v1/stats")[1]
    assert "Is a directory" in answer["why_none"]
    assert len(backend.lines("cannot keep the history")) == 1
