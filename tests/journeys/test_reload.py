"""A changed ini: no gap, no stall, and a broken version takes nothing down."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.backend import APPS, Backend, ends_after
from tests.eventually import eventually
from tests.journeys.load import Load


def failed(backend: Backend) -> dict[str, Any] | None:
    """The app's status, None as long as it has no error."""
    vassal = backend.vassal("a.example")
    return vassal if vassal and vassal["last_error"] else None


def is_another(backend: Backend, before: int) -> bool:
    return backend.state("a.example") == "running" and backend.leader("a.example") != before


def test_a_reload_under_load_fails_no_request(backend: Backend) -> None:
    backend.add("a.example", processes="2")
    backend.get("a.example")
    inode = backend.inode("a.example")
    load = Load(backend, "a.example")
    with load.running():
        for _ in range(3):
            before = backend.leader("a.example")
            (backend.vassals / "a.example.ini").touch()
            eventually(partial(is_another, backend, before), what="the successor leads")
    assert set(load.statuses) == {200}
    assert len(set(load.pids)) >= 4, "several generations have served"
    assert backend.inode("a.example") == inode


def test_a_version_that_fails_leaves_the_old_one_serving(backend: Backend) -> None:
    backend.expect("the new version did not start")
    backend.add("a.example")
    old = backend.get("a.example").text
    backend.drop("a.example", backend.ini("a.example", "broken.py"))
    status = eventually(lambda: failed(backend))
    assert status
    assert status["state"] == "running"
    assert "the old one serves on" in status["last_error"]
    assert "No module named 'a_module_that_nobody_installed'" in status["last_error"]
    assert backend.get("a.example").text == old
    backend.drop("a.example", backend.ini("a.example"))
    eventually(lambda: backend.get("a.example").text != old, what="the mended version serves")
    mended = backend.vassal("a.example")
    assert mended
    assert mended["last_error"] is None


def test_a_broken_ini_keeps_the_last_good_one_in_service(backend: Backend) -> None:
    backend.expect("the previous version stays in service")
    backend.add("a.example")
    backend.get("a.example")
    backend.drop("a.example", "[uwsgi\n")
    detail = eventually(lambda: (d := backend.detail("a.example"))["ini_error"] and d)
    assert "a.example.ini: line 1" in detail["ini_error"]
    assert "a.example.ini: line 1" in detail["status"]["last_error"]
    assert backend.get("a.example").status == 200


def test_a_touch_while_the_app_sleeps_does_not_wake_it(backend: Backend) -> None:
    backend.add("a.example")
    (backend.vassals / "a.example.ini").touch()
    eventually(lambda: backend.lines("a.example: parked → parked: its ini changed"))
    assert backend.state("a.example") == "parked"
    assert not backend.children()


def test_an_app_with_mules_stops_before_its_successor_starts(backend: Backend) -> None:
    backend.add("a.example", mule="true", master="true")
    old = backend.get("a.example").text
    (backend.vassals / "a.example.ini").touch()
    eventually(lambda: backend.get("a.example").text != old)
    assert backend.lines("a.example: running → stopping: its ini changed")
    assert not backend.lines("reloading")


def test_a_changed_ini_takes_effect_at_the_next_wake(backend: Backend, folder: Path) -> None:
    backend.add("a.example")
    runs = folder / "runs"
    backend.drop("a.example", backend.ini("a.example", env=f"RUNS={runs}"))
    eventually(lambda: backend.lines("its ini changed"))
    backend.get("a.example", "/?id=one")
    assert runs.read_text() == "GET one\n"


def test_another_spelling_of_the_socket_moves_the_app(backend: Backend) -> None:
    backend.add("a.example")
    backend.get("a.example")
    spelled = f"{backend.sockets}//a.example/socket"
    backend.drop("a.example", f"[uwsgi]\nsocket = {spelled}\nfile = {APPS}/plain.py\n")
    eventually(lambda: (v := backend.vassal("a.example")) and v["socket"] == spelled)
    assert backend.get("a.example").status == 200
    assert backend.get("a.example").status == 200


def test_a_newer_ini_that_waits_for_a_drain_is_told_of(start: Callable[..., Backend]) -> None:
    backend = start(stop_timeout="4")
    backend.expect("did not stop within 4 s")
    backend.add("a.example", hook_as_user_atexit=ends_after("sleep 1000"))
    assert backend.get("a.example").status == 200
    assert backend.detail("a.example")["newer_ini_written_at"] is None
    text = (backend.vassals / "a.example.ini").read_text()
    backend.drop("a.example", text + "env = A=1\n")
    eventually(lambda: backend.detail("a.example")["predecessor_pid"], what="the old one stops")
    backend.drop("a.example", text + "env = A=2\n")

    def waits() -> bool:
        detail = backend.detail("a.example")
        newer: str | None = detail["newer_ini_written_at"]
        return newer is not None and detail["ini_written_at"] < newer

    eventually(waits, what="the newer one waits")
    eventually(lambda: not backend.detail("a.example")["newer_ini_written_at"], what="it is there")
