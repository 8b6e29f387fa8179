"""A new version of an ini that passes all rules and does not start: the last good one serves on."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.backend import APPS, Backend
from tests.eventually import eventually
from tests.fdstore import FdStore

DOMAIN = "a.example"
EXPECTED = "is in effect$|the old one serves on|killed by SIGKILL|The end of its log"

# Each turns the good ini into one that fails at its boot.
BREAKS: dict[str, Callable[[str], str]] = {
    "a copy cut short": lambda good: good[: good.index("iron.py")],
    "no such folder": lambda good: good + "chdir = /srv/not-there\n",
    "no such module": lambda good: re.sub("file = .*", "module = not_there", good),
}


@pytest.fixture
def backend(start: Callable[..., Backend], folder: Path) -> Iterator[Backend]:
    with FdStore(folder / "notify") as store:
        backend = start(launch=store.start)
        backend.expect(EXPECTED)
        yield backend


def good_ini(backend: Backend, on_change: str, version: str = "v1") -> str:
    # The app is last, so that a copy that is cut short loses the end of its path.
    return (
        f"[emperor]\non-change = {on_change}\n[uwsgi]\nneed-app = true\nenv = MINE={version}\n"
        f"socket = {backend.sockets}/{DOMAIN}/socket\nfile = {APPS}/environ.py\n"
    )


def serves(backend: Backend, version: str = "v1") -> bool:
    reply = backend.get(DOMAIN)
    assert reply.status == 200, reply.text
    return f"MINE={version}\n" in reply.text


def sleep(backend: Backend) -> None:
    assert backend.call("POST", f"/v1/vassals/{DOMAIN}/sleep")[0] == 200


def is_told(backend: Backend) -> bool:
    detail = backend.detail(DOMAIN)
    return (
        re.search("did not start.*is in effect", detail["status"]["last_error"] or "") is not None
        and detail["failed_ini_written_at"] > detail["ini_written_at"]
    )


@pytest.mark.parametrize("broken", BREAKS)
@pytest.mark.parametrize("mode", ["slept", "overlap", "restart"])
def test_the_last_good_version_serves_on(backend: Backend, mode: str, broken: str) -> None:
    good = good_ini(backend, "restart" if mode == "restart" else "overlap")
    backend.drop(DOMAIN, good)
    backend.until(DOMAIN, "parked")
    assert serves(backend)
    if mode == "slept":
        sleep(backend)
    backend.drop(DOMAIN, BREAKS[broken](good))
    eventually(lambda: backend.lines("its ini changed"), what="the ini is read")
    assert serves(backend), "with no 503 in between"
    eventually(lambda: is_told(backend), what="the status tells of it")
    sleep(backend)
    assert serves(backend), "after a nap"
    assert len(backend.lines(" did not start: | did not start, ")) == 1
    backend.drop(DOMAIN, good.replace("MINE=v1", "MINE=v2"))
    eventually(lambda: serves(backend, "v2"), what="the mended ini is in effect")
    assert backend.detail(DOMAIN)["failed_ini_written_at"] is None


def test_a_fallback_outlives_the_daemon(backend: Backend) -> None:
    good = good_ini(backend, "overlap")
    backend.drop(DOMAIN, good)
    backend.until(DOMAIN, "parked")
    assert serves(backend)
    sleep(backend)
    backend.drop(DOMAIN, BREAKS["no such folder"](good))
    eventually(lambda: backend.lines("its ini changed"), what="the ini is read")
    backend.crash()
    assert serves(backend)
    backend.crash()
    assert is_told(backend)
    sleep(backend)
    assert serves(backend)
    backend.process.send_signal(signal.SIGHUP)
    eventually(lambda: len(backend.lines("took over 1 vassals")) == 3, what="an upgrade")
    sleep(backend)
    assert serves(backend)
    assert len(backend.lines("did not start: ")) == 1, "the newest was tried once"


def test_an_order_tries_the_newest_version(backend: Backend, folder: Path) -> None:
    good = good_ini(backend, "overlap")
    backend.drop(DOMAIN, good)
    backend.until(DOMAIN, "parked")
    assert serves(backend)
    sleep(backend)
    backend.drop(DOMAIN, good.replace("MINE=v1", "MINE=v2") + f"chdir = {folder}/soon\n")
    eventually(lambda: backend.lines("its ini changed"), what="the ini is read")
    assert serves(backend)
    status, problem = backend.call("POST", f"/v1/vassals/{DOMAIN}/restart")
    assert status != 200 and "did not start" in str(problem)
    assert serves(backend)
    os.mkdir(folder / "soon")
    assert backend.call("POST", f"/v1/vassals/{DOMAIN}/restart")[0] == 200
    assert serves(backend, "v2")
    assert backend.detail(DOMAIN)["ini_error"] is None


def test_the_newest_version_is_in_effect_where_both_fail(backend: Backend, folder: Path) -> None:
    backend.expect("it is not started for")
    app = folder / "app.py"
    app.write_text((APPS / "environ.py").read_text())
    good = good_ini(backend, "overlap").replace(f"{APPS}/environ.py", str(app))
    backend.drop(DOMAIN, good)
    backend.until(DOMAIN, "parked")
    assert serves(backend)
    sleep(backend)
    app.write_text("raise SystemExit\n")
    backend.drop(DOMAIN, good.replace("MINE=v1", "MINE=v2"))
    eventually(lambda: backend.lines("its ini changed"), what="the ini is read")
    assert backend.get(DOMAIN).status == 503
    assert len(backend.lines("did not start: ")) == 1
    app.write_text((APPS / "environ.py").read_text())
    assert backend.call("POST", f"/v1/vassals/{DOMAIN}/start")[0] == 200
    assert serves(backend, "v2")
