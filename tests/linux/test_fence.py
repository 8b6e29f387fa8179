"""A process of its own kills apps at their deadlines."""

import os
import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from emperor.linux.fence import FenceClient, Fenced
from tests.eventually import eventually


@pytest.fixture
def client(tmp_path: Path) -> Iterator[FenceClient]:
    client = FenceClient(tmp_path / "once.sock")
    try:
        yield client
    finally:
        client.close()
        # One that has ended has no command line any more, and waits to be reaped. Apps are sh.
        for process in psutil.Process().children():
            if process.name().startswith("python"):
                os.waitpid(process.pid, 0)


def child() -> int | None:
    """The pid of the process that kills."""
    for process in psutil.Process().children():
        # It may end meanwhile.
        with suppress(psutil.NoSuchProcess):
            if "fence_program" in str(process.cmdline()):
                return process.pid
    return None


def app() -> "subprocess.Popen[bytes]":
    """An app with a worker that ignores what a master would tell it."""
    return subprocess.Popen(
        ["sh", "-c", "trap '' TERM INT HUP; sleep 600 & wait"], start_new_session=True
    )


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_app_ends_at_its_deadline_with_all_its_processes(client: FenceClient) -> None:
    first, second = app(), app()
    client.tell([Fenced(first.pid, "", now() + 0.5), Fenced(second.pid, "", now() + 600)])
    assert first.wait(30) == -9
    eventually(lambda: not is_alive(first.pid), what="its worker is dead")
    assert second.poll() is None
    client.tell([Fenced(second.pid, "", now())])
    assert second.wait(30) == -9


def test_the_last_of_many_messages_counts(client: FenceClient) -> None:
    first, second = app(), app()
    client.tell([Fenced(first.pid, "", now()), Fenced(second.pid, "", now() + 600)])
    assert first.wait(30) == -9
    for _ in range(500):
        client.tell([Fenced(second.pid, "", now() + 600)])
    client.tell([Fenced(second.pid, "", now())])
    assert second.wait(30) == -9


def test_any_number_of_apps_is_told_at_once(client: FenceClient) -> None:
    first, second = app(), app()
    # No process has these numbers: pid_max is 4,194,304 at most.
    others = [Fenced(5_000_000 + number, "", now() + 600) for number in range(20_000)]
    client.tell([Fenced(first.pid, "", now()), *others, Fenced(second.pid, "", now() + 600)])
    assert first.wait(30) == -9
    client.tell([*others, Fenced(second.pid, "", now())])
    assert second.wait(30) == -9


def test_more_apps_are_fenced_than_the_limit_of_open_files_says(
    client: FenceClient,
) -> None:
    limit = max(int(number) for number in os.listdir("/proc/self/fd")) + 10
    apps = [subprocess.Popen(["sleep", "600"], start_new_session=True) for _ in range(limit + 10)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        client.tell([Fenced(each.pid, "", now()) for each in apps])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        assert [each.wait(30) for each in apps] == [-9] * len(apps)
    finally:
        for each in apps:
            each.kill()


def test_a_deadline_can_be_moved_and_taken_back(client: FenceClient) -> None:
    first, second = app(), app()
    end = now() + 1
    client.tell([Fenced(first.pid, "", end), Fenced(second.pid, "", end)])
    client.tell([Fenced(first.pid, "", end + 600)])
    eventually(lambda: now() > end + 0.5)
    assert first.poll() is None
    assert second.poll() is None
    for each in (first, second):
        os.killpg(each.pid, 9)
        each.wait()


def test_another_daemon_goes_on_with_the_same_process(client: FenceClient, tmp_path: Path) -> None:
    one = app()
    client.tell([Fenced(one.pid, "", now() + 600)])
    fence = eventually(child)  # a moment after its start it has no command line yet
    other = FenceClient(tmp_path / "once.sock")
    other.tell([Fenced(one.pid, "", now())])
    assert one.wait(30) == -9
    assert child() == fence
    other.close()


def test_a_process_that_was_killed_is_made_anew(client: FenceClient) -> None:
    one = app()
    client.tell([Fenced(one.pid, "", now() + 600)])
    fence = eventually(child)  # a moment after its start it has no command line yet
    assert fence
    os.kill(fence, 9)
    os.waitpid(fence, 0)
    client.tell([Fenced(one.pid, "", now())])
    assert one.wait(30) == -9


def test_a_process_that_has_ended_is_no_other_one(client: FenceClient) -> None:
    one, other = app(), app()
    client.tell([Fenced(one.pid, "", now() + 600), Fenced(other.pid, "", now() + 600)])
    os.killpg(one.pid, 9)
    one.wait()
    client.tell([Fenced(one.pid, "", now()), Fenced(other.pid, "", now())])
    assert other.wait(30) == -9


def test_without_an_app_there_is_no_process(client: FenceClient) -> None:
    client.tell([])
    assert child() is None
