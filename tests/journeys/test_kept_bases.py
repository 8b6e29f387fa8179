"""Bases outlive the daemon: `kill -9`, and an upgrade."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.backend import APPS, Backend, is_base, with_state
from tests.eventually import eventually
from tests.fdstore import FdStore
from tests.virtualenv import add_package, make_virtualenv

pytestmark = pytest.mark.bases

ONE, OTHER = "one.example", "other.example"
APP = """
import extra
def application(environ, start_response):
    start_response("200 OK", [])
    return [str(extra.PID).encode()]
"""
EXTRA = "import os\nPID = int(os.readlink('/proc/self'))\n"


@pytest.fixture
def store(folder: Path) -> Iterator[FdStore]:
    with FdStore(folder / "notify") as store:
        yield store


@pytest.fixture
def backend(start: Callable[..., Backend], store: FdStore) -> Backend:
    """A backend that can fork, learns what apps import, and has a store for descriptors."""
    backend = start(learns=True, launch=store.start)
    backend.until_base_is_ready()
    return backend


def bases(backend: Backend) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = backend.call("GET", "/v1/bases")[1]["bases"]
    return found


def root(backend: Backend) -> dict[str, Any]:
    """The base of the standard library."""
    return next(base for base in bases(backend) if not base["home"])


def of_home(backend: Backend) -> dict[str, Any]:
    """The base of the virtual environment; empty while it cannot fork."""
    return next((base for base in bases(backend) if base["home"]), {})


def drop(backend: Backend, domain: str, file: Path, *lines: str) -> None:
    text = ["[uwsgi]", f"file = {file}", *lines, "[emperor]", "uid = nobody", ""]
    backend.drop(domain, "\n".join(text))
    backend.until(domain, "parked")


def sleep(backend: Backend, domain: str) -> None:
    assert backend.call("POST", f"/v1/vassals/{domain}/sleep")[0] == 200
    backend.until(domain, "parked")


def shared(backend: Backend, folder: Path) -> dict[str, Any]:
    """The base of a virtual environment of two apps, which sleep."""
    home = folder / "venv"
    add_package(make_virtualenv(home), "extra", EXTRA)
    # What makes the base worth its memory.
    for number in range(10):
        add_package(next(home.glob("lib/python3*/site-packages")), f"more{number}", "")
    imports = "".join(f"import more{number}\n" for number in range(10))
    (folder / "app.py").write_text(imports + APP)
    for domain in (ONE, OTHER):
        drop(backend, domain, folder / "app.py", f"home = {home}")
        assert backend.get(domain).status == 200
    for domain in (ONE, OTHER):
        sleep(backend, domain)
    return eventually(lambda: of_home(backend), what="a base of its own")


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def coming(backend: Backend) -> list[psutil.Process]:
    """The base that the daemon makes."""
    return [*filter(is_base, psutil.Process(backend.process.pid).children())]


@contextmanager
def crashed(backend: Backend) -> Iterator[None]:
    """Kill the daemon and start another, whose own base does not get on during the block."""
    backend.process.kill()
    backend.process.wait()
    with backend.log.open("ab") as log:
        backend._process = backend.launch(backend.command, log)
    [own] = eventually(lambda: coming(backend), what="it makes a base")
    own.suspend()
    try:
        eventually(backend._answers, alive=[backend.process], what="emperord answers")
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            own.resume()


def test_after_a_crash_apps_are_forked_from_the_same_base(backend: Backend) -> None:
    before = root(backend)
    for domain in (ONE, OTHER):
        drop(backend, domain, APPS / "plain.py")
    with crashed(backend):
        kept = root(backend)
        assert kept["pid"] == before["pid"]
        assert kept["modules"] == before["modules"]
        moments = [datetime.fromisoformat(base["made_at"]) for base in (before, kept)]
        assert abs(moments[1] - moments[0]) < timedelta(seconds=0.2)
        for domain in (ONE, OTHER):
            assert backend.get(domain).status == 200
            assert backend.started(domain) == "forked from a base"
            assert psutil.Process(backend.leader(domain)).ppid() != backend.process.pid
        assert root(backend)["apps"] == 2
    eventually(lambda: root(backend)["pid"] != before["pid"], what="the daemon's own base")
    eventually(lambda: is_gone(before["pid"]), what="the earlier one ends")
    sleep(backend, ONE)
    assert backend.get(ONE).status == 200
    assert psutil.Process(backend.leader(ONE)).ppid() == backend.process.pid
    assert backend.get(OTHER).status == 200, "an app outlives its base"


def test_why_says_that_an_exit_is_unknown_where_it_is(backend: Backend) -> None:
    backend.expect("exit status unknown")
    drop(backend, ONE, APPS / "plain.py")
    with crashed(backend):
        assert backend.get(ONE).status == 200
        os.kill(backend.leader(ONE), signal.SIGKILL)
        backend.until(ONE, "throttled")
        assert "exit status unknown" in str(backend.detail(ONE))
        assert "SIGKILL" not in str(backend.detail(ONE))


def test_a_base_is_kept_over_crash_after_crash(backend: Backend) -> None:
    before = root(backend)["pid"]
    drop(backend, ONE, APPS / "plain.py")
    with crashed(backend):
        pass
    eventually(lambda: root(backend)["pid"] != before)
    backend.until_base_is_ready()
    second = root(backend)["pid"]
    with crashed(backend), crashed(backend):
        assert root(backend)["pid"] == second
        assert backend.get(ONE).status == 200
        assert backend.started(ONE) == "forked from a base"


def test_after_a_crash_a_tenants_base_is_made_anew(backend: Backend, folder: Path) -> None:
    before = shared(backend, folder)
    with crashed(backend):
        eventually(lambda: is_gone(before["pid"]), what="it is no child of this daemon")
        assert not of_home(backend)
        assert backend.get(ONE).status == 200
        assert backend.started(ONE) == "forked from a base"
    after = eventually(lambda: of_home(backend), what="another one, without a start")
    assert after["pid"] != before["pid"]
    assert {*before["modules"]} == {*after["modules"]}
    sleep(backend, ONE)
    text = backend.get(ONE).text
    assert text == str(after["pid"]), backend.started(ONE)


def upgrade(backend: Backend) -> None:
    done = len(backend.lines("serving"))
    backend.process.send_signal(signal.SIGHUP)
    eventually(lambda: len(backend.lines("serving")) > done, alive=[backend.process])


def test_an_upgrade_keeps_all_bases(backend: Backend, folder: Path) -> None:
    shared(backend, folder)
    assert backend.get(ONE).status == 200
    sleep(backend, ONE)
    before = bases(backend)
    for _ in range(2):
        upgrade(backend)
        kept = bases(backend)
        for base in ("pid", "apps", "modules", "left_out", "home", "user"):
            assert [each[base] for each in kept] == [each[base] for each in before]
    assert len(before) == 2
    assert backend.get(ONE).text == str(before[1]["pid"])
    assert psutil.Process(backend.leader(ONE)).ppid() == backend.process.pid
    backend.expect("killed by SIGKILL")
    os.kill(backend.leader(ONE), signal.SIGKILL)
    eventually(lambda: "killed by SIGKILL" in str(backend.detail(ONE)), what="its exit is known")


def test_why_is_true_of_a_kept_app_that_reloads_itself(backend: Backend) -> None:
    drop(backend, ONE, APPS / "plain.py")
    first = backend.get(ONE).text
    upgrade(backend)
    assert backend.started(ONE) == "forked from a base"
    os.kill(backend.leader(ONE), signal.SIGHUP)
    eventually(lambda: backend.get(ONE).text != first, alive=[backend.process])
    why = "by exec, since it has reloaded itself; it was forked from a base"
    eventually(lambda: backend.started(ONE) == why, what="why is true")
    upgrade(backend)
    assert backend.started(ONE) == why


def test_a_stop_ends_what_was_kept(start: Callable[..., Backend], store: FdStore) -> None:
    backend = start(launch=store.start)
    backend.until_base_is_ready()
    pid = root(backend)["pid"]
    with crashed(backend):
        assert root(backend)["pid"] == pid
        assert backend.stop() == 0
        eventually(lambda: is_gone(pid), what="it ends with the daemon that stops")
        backend.start()
    backend.until_base_is_ready()


def test_no_base_is_kept_that_is_not_wanted_any_more(backend: Backend, folder: Path) -> None:
    pids = [shared(backend, folder)["pid"], root(backend)["pid"]]
    backend._flags["bases"] = "off"
    backend.crash()
    assert not bases(backend)
    eventually(lambda: all(map(is_gone, pids)), what="they end")


def test_a_base_that_is_stopped_is_not_kept(backend: Backend) -> None:
    pid = root(backend)["pid"]
    drop(backend, ONE, APPS / "plain.py")
    os.kill(pid, signal.SIGSTOP)
    backend.crash()
    eventually(lambda: is_gone(pid), what="it is ended")
    assert backend.get(ONE).status == 200
    backend.until_base_is_ready()


def test_a_base_that_died_meanwhile_is_made_anew(backend: Backend) -> None:
    pid = root(backend)["pid"]
    backend.process.kill()
    backend.process.wait()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: is_gone(pid))
    backend.start()
    backend.until_base_is_ready()
    assert root(backend)["pid"] != pid


def test_a_base_ends_with_what_holds_it(start: Callable[..., Backend], folder: Path) -> None:
    """Nobody keeps what a daemon without systemd has left."""
    backend = start(learns=True)
    assert with_state(folder)
    backend.until_base_is_ready()
    pid = root(backend)["pid"]
    backend.process.kill()
    backend.process.wait()
    eventually(lambda: is_gone(pid), what="it ends by itself")
    backend.start()
