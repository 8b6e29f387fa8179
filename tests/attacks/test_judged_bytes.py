"""What uWSGI runs is what was read and judged, whatever has the name of the ini by then."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.attacks.tenants import ALICE, MALLORY, UIDS, Tenants, groups
from tests.backend import APPS, BIN
from tests.controllers import needs_controllers
from tests.eventually import eventually
from tests.http_client import Reply
from tests.nginx_server import Nginx

DOMAIN = "alice.example"
# It notes who runs it on which ini, and waits while the stage is set.
SLOW = """
case "$*" in *--ini*)
    echo "$(id -u) $*" >>{stage}/runs
    while [ -e {stage}/armed ]; do sleep 0.02; done
esac
exec {uwsgi} "$@"
"""


class Stage:
    """A moment between the judgement of an ini and the start of uWSGI, for an attacker."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "stage"
        self.folder.mkdir()
        self.folder.chmod(0o777)
        self.armed = self.folder / "armed"
        self.uwsgi = folder / "slow-uwsgi"
        self.uwsgi.write_text("#!/bin/sh" + SLOW.format(stage=self.folder, uwsgi=BIN / "uwsgi"))
        self.uwsgi.chmod(0o755)

    def runs(self) -> list[tuple[int, str]]:
        """The uid and the ini of each uWSGI that has read one."""
        runs = self.folder / "runs"
        lines = runs.read_text().splitlines() if runs.exists() else []
        words = [line.split() for line in lines]
        return [(int(each[0]), each[each.index("--ini") + 1]) for each in words]

    def clear(self) -> None:
        (self.folder / "runs").unlink(missing_ok=True)

    def first_reply(self, tenants: Tenants, act: Callable[[], None]) -> Reply:
        """The reply of an app that sleeps, if `act` is done while uWSGI starts."""
        self.clear()
        self.armed.touch()
        with ThreadPoolExecutor(1) as pool:
            reply = pool.submit(tenants.get, DOMAIN)
            try:
                eventually(self.runs, what="uWSGI starts")
                act()
            finally:
                self.armed.unlink()
            return reply.result()


@pytest.fixture(scope="module")
def stage(folder: Path) -> Stage:
    return Stage(folder)


@pytest.fixture(scope="module")
def tenants(folder: Path, stage: Stage) -> Iterator[Tenants]:
    with (
        Nginx(folder) as nginx,
        Tenants(folder, nginx, uwsgi_binary=str(stage.uwsgi)) as tenants,
    ):
        yield tenants


def put_a_file(path: Path, text: str) -> None:
    path.write_text(text)


def put_a_pipe(path: Path, _: str) -> None:
    os.mkfifo(path)


def put_a_link(path: Path, text: str) -> None:
    (path.parent / "target").write_text(text)
    path.symlink_to(path.parent / "target")
    os.chown(path.parent / "target", UIDS[ALICE], -1)


@pytest.mark.parametrize("put", [put_a_file, put_a_pipe, put_a_link])
def test_another_file_of_an_inis_name_does_not_start(
    tenants: Tenants, stage: Stage, put: Callable[[Path, str], None]
) -> None:
    tenants.expect("cannot (read|serve) alice.example.ini: ")
    ini = tenants.vassals / f"{DOMAIN}.ini"
    tenants.host(ALICE, DOMAIN, "environ.py", env="MINE=judged")
    pwned = stage.folder / "pwned"
    other = stage.folder / "other"
    # emperord would not serve this version, so that it goes on by the one that was judged.
    put(other, f"[uwsgi]\nexec-asap = touch {pwned}\nfile = {APPS}/plain.py\nprocesses = 0\n")

    def exchange() -> None:
        ini.rename(stage.folder / "judged")
        other.rename(ini)

    assert b"MINE=judged" in stage.first_reply(tenants, exchange).body
    master = psutil.Process(tenants.leader(DOMAIN))
    before = master.children()
    os.kill(master.pid, signal.SIGHUP)
    eventually(lambda: not any(child.is_running() for child in before), what="uWSGI reloads itself")
    assert b"MINE=judged" in tenants.get(DOMAIN).body
    assert not pwned.exists()
    ini.unlink()
    tenants.until(DOMAIN, None)
    eventually(lambda: not (tenants.run_dir / "inis").exists(), what="no copy is left")


def test_a_changed_include_runs_as_its_tenant(tenants: Tenants, stage: Stage) -> None:
    more, out = stage.folder / "more.ini", stage.folder / "out"
    more.write_text("[uwsgi]\nenv = MINE=judged\n")
    os.chown(more, UIDS[MALLORY], -1)
    tenants.host(MALLORY, DOMAIN, "environ.py", include=str(more))
    hook = f"[uwsgi]\nexec-asap = id -u >{out}\nuid = root\nenv = MINE=other\n"
    assert b"MINE=other" in stage.first_reply(tenants, lambda: put_a_file(more, hook)).body
    assert out.read_text() == f"{UIDS[MALLORY]}\n"
    assert set(psutil.Process(tenants.leader(DOMAIN)).uids()) == {UIDS[MALLORY]}
    tenants.remove(DOMAIN)
    tenants.until(DOMAIN, None)


DEAF = "trap '' TERM INT QUIT HUP; while :; do sleep 0.2; done"


def test_nothing_outlives_the_reading_of_an_ini(tenants: Tenants, stage: Stage) -> None:
    tenants.expect(f"cannot serve {DOMAIN}.ini: ")
    ran, more = stage.folder / "ran", stage.folder / "more.ini"
    job = tenants.program("job", f"touch {ran}; {DEAF}")
    closed = " ".join(f"{fd}>&-" for fd in range(10))
    leave = f"(env -i /usr/bin/setsid {job} {closed} &) &"
    starter = tenants.program("starter", f"{leave}\nwhile [ ! -e {ran} ]; do sleep 0.02; done")
    more.write_text(f"[uwsgi]\nmotd = @(exec://{starter})\nprocesses = 0\n")
    text = tenants.ini(DOMAIN, include=str(more))
    tenants.refuse(MALLORY, DOMAIN, text, "no worker accepts requests")
    assert ran.exists()
    eventually(lambda: not tenants.processes(job), what="the job is gone")
    eventually(lambda: not groups(tenants.folder), what="the groups are gone")


@needs_controllers
def test_an_ini_that_grows_without_end_takes_little_memory(tenants: Tenants) -> None:
    tenants.expect(f"cannot serve {DOMAIN}.ini: ")
    endless = f"for-times = 100000000\nmotd = %(_){'x' * 20000}\nendfor =\n"
    text = tenants.ini(DOMAIN) + endless
    tenants.refuse(MALLORY, DOMAIN, text, "needs more than 256 MB to read it")


def test_roots_ini_includes_nothing_of_others(tenants: Tenants) -> None:
    tenants.expect("cannot (read|serve) alice.example.ini: ")
    home = tenants.folder / "home"
    home.mkdir()
    more = home / "more.ini"
    more.write_text("[uwsgi]\nidle = 5\n")
    os.chown(home, UIDS[MALLORY], -1)
    text = tenants.ini(DOMAIN, include=str(more)) + f"[emperor]\nuid = {ALICE}\n"
    tenants.drop(DOMAIN, text)
    told = f"others than root and {ALICE}, as which uWSGI reads it, can change {home}"
    eventually(lambda: tenants.lines(told), what="the ini is refused")
    os.chown(home, UIDS[ALICE], -1)
    tenants.drop(DOMAIN, text)
    tenants.until(DOMAIN, "parked")
    tenants.remove(DOMAIN)
    tenants.until(DOMAIN, None)


def check(folder: Path, stage: Stage, ini: Path) -> "subprocess.CompletedProcess[str]":
    """`emperorctl check` by root, with that slow uWSGI."""
    settings = folder / "emperord.conf"
    settings.write_text(
        f"[emperord]\nuwsgi-binary = {stage.uwsgi}\nvassals-dir = {folder}/vassals\n"
        "allow-root = true\nmin-uid = 1\n"
    )
    stage.clear()
    command = [str(BIN / "emperorctl"), "--run-dir", str(folder), "check", "--config"]
    return subprocess.run(
        [*command, str(settings), str(ini)], check=False, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def home(folder: Path) -> Path:
    """A folder of mallory's."""
    home = folder / "mallory"
    home.mkdir()
    os.chown(home, UIDS[MALLORY], -1)
    return home


CLEVER = f"[uwsgi]\nfile = {APPS}/plain.py\nset = x=1\n"


def test_check_by_root_reads_an_ini_as_its_owner(folder: Path, home: Path, stage: Stage) -> None:
    ini = home / f"{DOMAIN}.ini"
    ini.write_text(CLEVER)
    os.chown(ini, UIDS[MALLORY], -1)
    assert check(folder, stage, ini).returncode == 0
    runs = stage.runs()
    assert {uid for uid, _ in runs} == {UIDS[MALLORY]}
    assert not [path for _, path in runs if path.startswith(str(home)) or path[0] != "/"]
    assert not [path for _, path in runs if os.path.exists(path)]


@pytest.mark.parametrize("text", [CLEVER, CLEVER.replace("set = x=1", "idle = 5")])
def test_check_asks_no_uwsgi_as_root_for_others(
    folder: Path, home: Path, stage: Stage, text: str
) -> None:
    ini = home / f"{DOMAIN}.ini"
    ini.write_text(text)
    os.chown(ini, 0, 0)
    checked = check(folder, stage, ini)
    assert f"others than root can change {home}" in checked.stdout.replace("\n", " ")
    assert checked.returncode == ("set" in text)
    assert stage.runs() == []
