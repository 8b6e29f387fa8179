"""`vacuum = true`: the end of an old process does not delete what the new one has made."""

import os
import signal
import socket
from collections.abc import Callable
from functools import partial

import pytest

from tests.backend import Backend
from tests.eventually import eventually

PIDFILES = ("pidfile", "pidfile2", "safe-pidfile", "safe-pidfile2")
DOMAIN = "a.example"


def start(backend: Backend, **options: str) -> None:
    run = backend.folder / "made"
    run.mkdir()
    files = {name.replace("-", "_"): str(run / name) for name in PIDFILES}
    options = {"vacuum": "true", "stats": str(run / "stats"), **files, **options}
    backend.add(DOMAIN, **options)
    assert backend.get(DOMAIN).status == 200


def all_are_there(backend: Backend) -> None:
    """Wait until all files are there, and are of the process that leads. uWSGI makes the last of
    them when its workers serve already."""
    run, pid = backend.folder / "made", str(backend.leader(DOMAIN))

    def are_there() -> bool:
        return (run / "stats").is_socket() and all(
            (run / name).exists() and (run / name).read_text().strip() == pid for name in PIDFILES
        )

    eventually(are_there, what=f"all are there, of {pid}")


def touch(backend: Backend) -> None:
    backend.drop(DOMAIN, (backend.vassals / f"{DOMAIN}.ini").read_text())


def wake_while_it_stops(backend: Backend) -> None:
    assert backend.call("POST", f"/v1/vassals/{DOMAIN}/restart")[0] == 200


@pytest.mark.parametrize("change", [touch, wake_while_it_stops])
def test_the_new_process_keeps_its_pidfiles_and_stats_socket(
    backend: Backend, change: Callable[[Backend], None]
) -> None:
    start(backend)
    for _ in range(2):
        all_are_there(backend)
        old = backend.leader(DOMAIN)
        change(backend)
        eventually(lambda old=old: backend.leader(DOMAIN) not in (old, None))  # type: ignore[misc]
        eventually(lambda: backend.detail(DOMAIN)["predecessor_pid"] is None)
        backend.until(DOMAIN, "running")
        all_are_there(backend)


def has_failed(backend: Backend, times: int) -> bool:
    return len(backend.lines("the old one serves on")) == times


def exits(backend: Backend, good: str) -> None:
    backend.drop(DOMAIN, good.replace("plain.py", "broken.py"))


def is_killed(backend: Backend, good: str) -> None:
    backend.drop(DOMAIN, good + f"env = GATE={backend.folder}/never\n")
    serving, pidfile = backend.leader(DOMAIN), backend.folder / "made" / "pidfile"

    def successor() -> int:
        pid = int(pidfile.read_text() or serving)
        return 0 if pid == serving else pid

    os.kill(eventually(successor, what="the successor has written its pid"), signal.SIGKILL)


@pytest.mark.parametrize("vacuum", ["true", "false"])
def test_a_failed_successor_leaves_the_files_as_they_were(backend: Backend, vacuum: str) -> None:
    backend.expect("the old one serves on")
    start(backend, vacuum=vacuum)
    serving, good = backend.leader(DOMAIN), (backend.vassals / f"{DOMAIN}.ini").read_text()
    for number, fail in enumerate([exits, is_killed, exits], 1):
        fail(backend, good)
        eventually(partial(has_failed, backend, number), what="the successor is gone")
        assert backend.leader(DOMAIN) == serving
        all_are_there(backend)
        with socket.socket(socket.AF_UNIX) as stats:
            stats.connect(str(backend.folder / "made" / "stats"))
            assert f'"pid":{serving}' in stats.makefile().read(), "the old process listens"
    assert backend.lines("No module named 'a_module_that_nobody_installed'")
    backend.drop(DOMAIN, good)
    eventually(lambda: backend.leader(DOMAIN) not in (serving, None))
    all_are_there(backend)
    if vacuum == "true":
        eventually(lambda: backend.detail(DOMAIN)["predecessor_pid"] is None)
        assert backend.call("POST", f"/v1/vassals/{DOMAIN}/sleep")[0] == 200
        assert not list((backend.folder / "made").iterdir()), "vacuum works after a reload"


def test_a_nap_deletes_the_files_as_vacuum_says(backend: Backend) -> None:
    start(backend)
    all_are_there(backend)
    assert backend.call("POST", f"/v1/vassals/{DOMAIN}/sleep")[0] == 200
    assert not list((backend.folder / "made").iterdir())
