"""The program by which the kernel refuses forks before it copies a process."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from resource import RLIMIT_NPROC, prlimit
from typing import cast

import pytest

from emperor.early_refusal import EarlyRefusal
from emperor.linux import early_refusal_program
from emperor.linux.early_refusal_program import allow, lower
from emperor.linux.group_names import app_group, tenant_of
from emperor.model.cpu_shares import Used
from emperor.model.refused_forks import Forks
from emperor.uwsgi.bounds import Bounds
from tests.eventually import eventually
from tests.traces import public_folder

# A user and a group of Debian that own nothing here.
GAMES, MAIL = 5, 8

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="root alone can act as another user")


def soft_limit(pid: int) -> str:
    """How many processes the user of this one may have."""
    return Path(f"/proc/{pid}/limits").read_text().partition("Max processes")[2].split()[0]


@contextmanager
def refusing(group: Path, uid: int | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    """The program, for the processes of that user, or of this one, in that group."""
    user = str(os.geteuid() if uid is None else uid)
    command = [sys.executable, "-I", "-S", early_refusal_program.__file__, str(group), user]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as program:
        yield program


@pytest.fixture
def run() -> Iterator[Path]:
    """A group as that of a process of an app, which every user can read."""
    with public_folder() as folder:
        run = folder / "uid-5" / "v-a.example" / "7"
        run.mkdir(parents=True)
        yield run


@pytest.fixture
def sleepers() -> Iterator[ExitStack]:
    """Holds processes for the test."""
    with ExitStack() as stack:
        yield stack


def sleeper(stack: ExitStack, uid: int | None = None, gid: int | None = None) -> int:
    """The pid of a process that lives as long as the test."""
    process = subprocess.Popen(["sleep", "600"], user=uid, group=gid, extra_groups=[])
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process.pid


def listed(run: Path, *pids: int) -> None:
    """Have the kernel's file list these."""
    (run / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))


def test_processes_get_their_limits_back_when_the_input_ends(run: Path) -> None:
    with (
        subprocess.Popen(["sleep", "60"]) as worker,
        subprocess.Popen(["sleep", "60"], start_new_session=True) as master,
        subprocess.Popen(["true"], start_new_session=True) as gone,
    ):
        gone.wait()
        usual = soft_limit(worker.pid)
        assert usual != "0"
        listed(run, gone.pid, worker.pid, master.pid)
        with refusing(run):
            eventually(lambda: soft_limit(worker.pid) == "0")
            assert soft_limit(master.pid) == usual, "it replaces workers"
            with refusing(run.parent.parent) as other:
                other.communicate()
                assert soft_limit(worker.pid) == "0", "it is not the other's to give back"
        assert soft_limit(worker.pid) == usual
        worker.kill()
        master.kill()


def test_a_limit_that_was_changed_meanwhile_is_kept(run: Path, sleepers: ExitStack) -> None:
    raised, bounded = sleeper(sleepers), sleeper(sleepers)
    listed(run, raised, bounded)
    _, usual = prlimit(raised, RLIMIT_NPROC)
    with refusing(run):
        eventually(lambda: soft_limit(raised) == soft_limit(bounded) == "0")
        prlimit(raised, RLIMIT_NPROC, (30, usual))
        prlimit(bounded, RLIMIT_NPROC, (0, 60))
    assert prlimit(raised, RLIMIT_NPROC) == (30, usual)
    assert prlimit(bounded, RLIMIT_NPROC) == (60, 60), "it may fork again"


def test_a_child_forked_meanwhile_gets_the_limit_of_its_parent() -> None:
    forks = ["sh", "-c", "sleep 600 & echo $!; wait"]
    before: dict[int, int] = {}
    with subprocess.Popen(forks, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        usual, hard = prlimit(child, RLIMIT_NPROC)
        lower([parent.pid], before, are_forked_meanwhile=False)
        prlimit(child, RLIMIT_NPROC, (0, hard))  # as it is when it was forked at that moment
        lower([child], before, are_forked_meanwhile=True)
        assert soft_limit(parent.pid) == soft_limit(child) == "0"
        allow(before)
        assert prlimit(child, RLIMIT_NPROC) == prlimit(parent.pid, RLIMIT_NPROC) == (usual, hard)
        os.kill(child, signal.SIGKILL)


@as_root
def test_it_acts_as_its_user_and_never_as_root_s_group(run: Path, sleepers: ExitStack) -> None:
    starting, theirs = sleeper(sleepers), sleeper(sleepers, GAMES, MAIL)
    usual = soft_limit(starting)
    listed(run, starting, theirs)
    with refusing(run, GAMES) as program:
        eventually(lambda: soft_limit(theirs) == "0")
        status = Path(f"/proc/{program.pid}/status").read_text()
        assert f"Uid:\t{GAMES}\t{GAMES}\t{GAMES}\t{GAMES}\n" in status
        assert f"Gid:\t{MAIL}\t{MAIL}\t{MAIL}\t{MAIL}\n" in status
        assert "Groups:\t \n" in status and "CapEff:\t0000000000000000\n" in status
        assert soft_limit(starting) == usual, "it is root's"


@as_root
def test_its_user_can_neither_look_into_it_nor_trace_it(run: Path, sleepers: ExitStack) -> None:
    theirs = sleeper(sleepers, GAMES, MAIL)
    listed(run, theirs)
    with refusing(run, GAMES) as program:
        eventually(lambda: soft_limit(theirs) == "0")
        for pid, can in ((theirs, True), (program.pid, False)):
            # The kernel asks the same for a descriptor as ptrace(2) does.
            looking = ["cat", f"/proc/{pid}/environ"]
            done = subprocess.run(
                looking, user=GAMES, group=MAIL, extra_groups=[], capture_output=True, check=False
            )
            assert (done.returncode == 0) is can, done.stderr


@as_root
def test_without_a_process_of_its_user_it_ends(run: Path, sleepers: ExitStack) -> None:
    listed(run, sleeper(sleepers))
    with refusing(run, GAMES) as program:
        assert program.wait() == 0


class _FullGroup:
    """One group, which is full and goes on forking; nothing else is there."""

    def __init__(self) -> None:
        self.groups = self.forks = self
        self.refused = 0

    def look(self, _tenants: Collection[str]) -> dict[str, Forks]:
        self.refused += 10**6
        return {app_group(1234, "a.example"): Forks(self.refused, is_full=True)}


async def test_a_fault_in_running_it_does_not_end_the_daemon(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with asyncio.TaskGroup() as tasks:
        refusal = EarlyRefusal(cast(Bounds, _FullGroup()), str, tasks)
        used = Used(1.0, 1.0, {tenant_of(app_group(1234, "a.example")): 1.0}, 1.0, 0.0)
        while not refusal.is_active:
            await refusal.look(used)
    assert "cannot have forks refused early: a fault in emperord" in caplog.text
