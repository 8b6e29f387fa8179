"""Children on the real kernel: what they inherit, how their end is told, and who dies with them."""

import asyncio
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from emperor.linux.processes import LedProcess, as_identity, leader_with_socket, open_log, spawn
from emperor.model.ports import CannotLaunch, Exit
from emperor.model.spec import Identity
from tests.eventually import eventually, eventually_async
from tests.linux.children import Household, has_children, is_running, soft_limit, steal_exit_status
from tests.linux.orphans import Orphan, reaped_and_replaced


def open_fds() -> set[str]:
    listed = os.listdir("/proc/self/fd")  # with that of the listing itself, which is closed now
    return {fd for fd in listed if os.path.lexists(f"/proc/self/fd/{fd}")}


@pytest.fixture
def household(tmp_path: Path) -> Household:
    return Household(tmp_path / "child.log")


@pytest.mark.parametrize(
    ("script", "how"),
    [
        ("exit 0", "exit status 0"),
        ("exit 22", "exit status 22"),
        ("kill -KILL $$", "killed by SIGKILL"),
        ("kill -SEGV $$", "killed by SIGSEGV"),
        ("kill -40 $$", "killed by signal 40"),
    ],
)
async def test_an_end_is_told_in_words(household: Household, script: str, how: str) -> None:
    household.sh(f"ulimit -c 0; {script}")
    assert await household.ended() == how


async def test_it_is_told_once_and_nothing_is_left_open(household: Household) -> None:
    before = open_fds()
    child = household.sh("exit 0")
    await household.ended()
    child.kill()
    await asyncio.sleep(0)
    assert household.ends == [Exit(code=0)]
    assert open_fds() == before
    assert not has_children()


async def test_a_child_has_what_it_was_given_and_nothing_else(household: Household) -> None:
    # What this process was itself given by its parent is the only thing that Python lets pass.
    passed_on = {fd for fd in open_fds() if os.get_inheritable(int(fd))}
    read_end, write_end = os.pipe()
    pipe = os.readlink(f"/proc/self/fd/{read_end}")
    household.spawn("/bin/ls", "-l", "/proc/self/fd", fds={7: read_end})
    await household.ended()
    os.close(read_end)
    os.close(write_end)
    lines = [line.split() for line in household.told().splitlines() if " -> " in line]
    found = {number: link for *_, number, _, link in lines if not link.endswith("/fd")}
    log = str(household.log)
    given = {"0": "/dev/null", "1": log, "2": log, "7": pipe}
    assert {number: found[number] for number in given} == given
    assert found.keys() - given.keys() <= passed_on


async def test_numbers_may_be_swapped_or_stay(household: Household) -> None:
    pipes = [os.pipe() for _ in range(3)]
    (one, two, three) = (write_end for _, write_end in pipes)
    household.sh(
        f"for fd in {one} {two} {three}; do echo $fd > /proc/self/fd/$fd; done",
        fds={one: two, two: one, three: three},
    )
    await household.ended()
    assert [int(os.read(read_end, 16)) for read_end, _ in pipes] == [two, one, three]
    for end in (end for pipe in pipes for end in pipe):
        os.close(end)


async def test_no_signal_mask_and_no_variable_is_inherited(
    household: Household,
) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    assert signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN
    try:
        household.spawn("/bin/grep", "-E", "Sig(Blk|Ign)", "/proc/self/status")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    await household.ended()
    household.ends.clear()
    household.spawn("/usr/bin/env")
    await household.ended()
    blocked, ignored, variables = household.told().splitlines()
    assert int(blocked.removeprefix("SigBlk:"), 16) == 0
    # 32 and 33 are glibc's own: posix_spawn leaves them ignored, no program can name them.
    assert int(ignored.removeprefix("SigIgn:"), 16) & ~(0b11 << 31) == 0
    assert variables == f"PATH={os.defpath}"


async def test_a_child_leads_a_session_and_a_group_of_its_own(household: Household) -> None:
    child = household.sh("sleep 1000")
    assert os.getsid(child.pid) == os.getpgid(child.pid) == child.pid
    child.kill()
    assert await household.ended() == "killed by SIGKILL"


@pytest.mark.parametrize("end", ["exit 3", "kill -TERM $$"])
async def test_who_outlives_the_leader_dies_with_it(household: Household, end: str) -> None:
    household.sh(f"trap '' HUP; sleep 1000 & echo $!; {end}")
    await household.ended()
    orphan = int(household.told())
    eventually(lambda: not is_running(orphan))


async def test_a_kill_takes_the_whole_group(household: Household) -> None:
    child = household.sh("sleep 1000 & echo $!; wait")
    worker = int(await eventually_async(household.told))
    assert is_running(worker)
    child.kill()
    assert await household.ended() == "killed by SIGKILL"
    eventually(lambda: not is_running(worker))


async def test_an_exit_status_that_somebody_else_took_is_unknown(household: Household) -> None:
    child = household.sh("exit 3")
    steal_exit_status(child.pid)
    assert (await household.ended()).startswith("exit status unknown")


async def test_a_program_that_cannot_be_run_is_named_with_the_cause(
    household: Household, tmp_path: Path
) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"\x00 no program")
    for program, cause in (
        (tmp_path / "missing", "No such file or directory; is it there"),
        (plain, "Permission denied"),
    ):
        with pytest.raises(CannotLaunch, match=f"cannot spawn {program}: {cause}"):
            household.spawn(str(program))
    plain.chmod(0o755)
    with pytest.raises(CannotLaunch, match="Exec format error; it is no program"):
        household.spawn(str(plain))
    assert household.ends == []


async def test_without_a_descriptor_left_no_child_is_left_either(household: Household) -> None:
    log_fd = open_log(str(household.log))
    lowest = os.dup(log_fd)
    os.close(lowest)
    with soft_limit(resource.RLIMIT_NOFILE, lowest), pytest.raises(CannotLaunch, match="LimitNOF"):
        spawn(
            ["/bin/sleep", "1000"],
            {},
            {1: log_fd, 2: log_fd},
            asyncio.get_running_loop(),
            household.ends.append,
        )
    os.close(log_fd)
    assert not has_children()


async def test_a_child_that_nobody_can_watch_is_ended(household: Household) -> None:
    before, closed = open_fds(), asyncio.new_event_loop()
    closed.close()
    with pytest.raises(RuntimeError, match="closed"):
        spawn(["/bin/sleep", "1000"], {}, {}, closed, household.ends.append)
    assert not has_children()
    assert open_fds() == before


async def test_a_leader_that_ends_as_it_is_found_leaves_no_descriptor(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = socket.socketpair()
    child = household.spawn("/bin/sleep", "1000", fds={7: theirs.fileno()})
    before, group_of = open_fds(), os.getpgid

    def too_late(pid: int) -> int:
        os.kill(pid, signal.SIGKILL)
        steal_exit_status(pid)
        return group_of(pid)

    monkeypatch.setattr(os, "getpgid", too_late)
    inode = os.fstat(theirs.fileno()).st_ino
    assert leader_with_socket(inode, 7) is None
    assert open_fds() == before
    await household.ended()
    assert not is_running(child.pid)
    ours.close()
    theirs.close()


@pytest.mark.parametrize("identity", [Identity(65534, 65534, "nobody"), Identity(4321, 4322, None)])
async def test_another_user_runs_it_with_that_users_groups_alone(
    household: Household, identity: Identity
) -> None:
    household.spawn(*as_identity(identity, ["/bin/sh", "-c", "id -u; id -g; id -G"]))
    await household.ended()
    uid, gid, groups = household.told().split()
    assert (int(uid), int(gid), int(groups)) == (identity.uid, identity.gid, identity.gid)


async def test_another_users_process_keeps_its_pid(household: Household) -> None:
    child = household.spawn(*as_identity(Identity(4321, 4322, None), ["/bin/sh", "-c", "echo $$"]))
    await household.ended()
    assert int(household.told()) == child.pid


def test_a_log_is_appended_to_and_its_group_may_read_it(tmp_path: Path) -> None:
    log = tmp_path / "a.example.log"
    umask = os.umask(0)
    try:
        for line in (b"first\n", b"second\n"):
            fd = open_log(str(log))
            os.write(fd, line)
            os.close(fd)
    finally:
        os.umask(umask)
    assert log.read_bytes() == b"first\nsecond\n"
    assert log.stat().st_mode & 0o777 == 0o640


def test_a_log_that_is_no_file_is_refused(tmp_path: Path) -> None:
    link, pipe = tmp_path / "link.log", tmp_path / "pipe.log"
    link.symlink_to("/etc/passwd")
    os.mkfifo(pipe)
    with pytest.raises(CannotLaunch, match=r"cannot open the log .*link.log: .*move it away"):
        open_log(str(link))
    with pytest.raises(CannotLaunch, match=r"pipe.log: No such device or address"):
        open_log(str(pipe))
    with pytest.raises(CannotLaunch, match=r"no/folder.log: No such file or directory"):
        open_log(str(tmp_path / "no" / "folder.log"))


# Taken over by a pidfd from a daemon that died.


async def test_the_end_of_a_process_that_is_no_child_is_told(household: Household) -> None:
    orphan = Orphan("exec sleep 1000 >&-")
    process = LedProcess(
        orphan.pid, orphan.pidfd, asyncio.get_running_loop(), household.ends.append
    )
    assert process.pidfd == orphan.pidfd
    os.kill(orphan.pid, signal.SIGTERM)
    assert (await household.ended()).startswith("exit status unknown")
    assert process.pidfd is None
    os.close(orphan.gone)


async def test_a_kill_takes_a_group_that_is_no_childs_too(household: Household) -> None:
    orphan = Orphan("sleep 1000 & sleep 1000")
    LedProcess(orphan.pid, orphan.pidfd, asyncio.get_running_loop(), household.ends.append).kill()
    assert (await household.ended()).startswith("exit status unknown")
    eventually(orphan.is_all_gone)
    os.close(orphan.gone)


async def test_who_outlives_a_leader_that_died_before_dies_with_it(household: Household) -> None:
    orphan = Orphan("trap : HUP; sleep 1000 & exit")
    eventually(lambda: select.select([orphan.pidfd], [], [], 0)[0])
    assert not orphan.is_all_gone()
    LedProcess(orphan.pid, orphan.pidfd, asyncio.get_running_loop(), household.ends.append)
    await household.ended()
    eventually(orphan.is_all_gone)
    os.close(orphan.gone)


async def test_who_has_got_the_number_meanwhile_is_left_alone(household: Household) -> None:
    replaced = eventually(reaped_and_replaced)
    assert replaced
    pidfd, innocent = replaced
    pid = innocent.pid
    process = LedProcess(pid, pidfd, asyncio.get_running_loop(), household.ends.append)
    process.kill()
    assert (await household.ended()).startswith("exit status unknown")
    assert innocent.poll() is None
    innocent.kill()
    assert innocent.wait() == -signal.SIGKILL


def test_a_leader_is_found_by_the_socket_that_it_holds() -> None:
    ours, theirs = socket.socketpair()
    inode = os.fstat(theirs.fileno()).st_ino
    assert leader_with_socket(inode, 9) is None
    with subprocess.Popen(
        ["/bin/bash", "-c", f"exec 9<&{theirs.fileno()}; sleep 1000 & echo; wait"],
        pass_fds=[theirs.fileno()],
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as leader:
        assert leader.stdout is not None
        leader.stdout.readline()
        found = leader_with_socket(inode, 9)
        assert found
        assert found[0] == leader.pid, "and not its child, which holds it too"
        signal.pidfd_send_signal(found[1], signal.SIGTERM)
        os.close(found[1])
        os.killpg(leader.pid, signal.SIGKILL)
    assert leader_with_socket(inode, 9) is None
    ours.close()
    theirs.close()


async def test_children_are_told_but_for_those_that_are_named(household: Household) -> None:
    told = "trap 'echo told; exit' HUP; echo ready; sleep 1000 & wait"
    leader = household.sh(f"for number in 1 2; do ({told}) & done; wait")
    await eventually_async(lambda: household.log.read_text().count("ready") == 2)
    first, second = leader.children()
    leader.hang_up_children(but=[first])
    await eventually_async(lambda: "told" in household.log.read_text())
    await eventually_async(lambda: leader.children() == (first,))
    assert second != first
    leader.kill()
    await eventually_async(lambda: household.ends)
    assert leader.children() == ()
    leader.hang_up_children(but=[])


_TRACES_ITS_PARENT = """
import ctypes, os, time
PTRACE_SEIZE = 0x4206
parent = os.getppid()
os.setsid()
assert ctypes.CDLL(None).ptrace(PTRACE_SEIZE, parent, None, None) == 0
print(f"traced by {os.getpid()}", flush=True)
time.sleep(1000)
"""


async def test_a_process_traced_by_its_child_keeps_nobody_waiting(
    household: Household,
) -> None:
    leader = household.sh(f"{sys.executable} -c '{_TRACES_ITS_PARENT}' & wait")
    await eventually_async(lambda: "traced by" in household.log.read_text())
    tracer = int(household.log.read_text().split()[-1])
    os.kill(leader.pid, signal.SIGKILL)
    assert await household.ended() == "exit status unknown: another process traces it"
    os.kill(tracer, signal.SIGKILL)
    await eventually_async(lambda: not os.path.exists(f"/proc/{leader.pid}"), what="it is reaped")
    await eventually_async(lambda: not is_running(tracer))
