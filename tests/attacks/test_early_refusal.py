"""A tenant whose app forks on, at its limit, takes no CPU from its neighbours, and the program that
has the kernel refuse its forks gives it nothing."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from emperor.linux.cgroup import members
from tests.attacks.tenants import MALLORY, Tenants, groups, groups_of_mallory
from tests.controllers import needs_controllers, needs_yielding
from tests.eventually import eventually
from tests.linux.busy_core import two_on_one_core

pytestmark = [needs_controllers, needs_yielding, pytest.mark.usefixtures("alice")]


@contextmanager
def at_most(tenants: Tenants, processes: int) -> Iterator[None]:
    """All apps of mallory together may have so many processes."""
    [file] = (each for group in groups_of_mallory(tenants) for each in group.glob("pids.max"))
    before = file.read_text()
    file.write_text(str(processes))
    try:
        yield
    finally:
        file.write_text(before)


def host_bomb(tenants: Tenants) -> None:
    """Have an app of mallory's run that can fork."""
    tenants.host(MALLORY, "mallory.example", "hog.py", emperor="pids-max = 40")
    assert tenants.get("mallory.example").status == 200


@contextmanager
def forking_on(tenants: Tenants) -> Iterator[int]:
    """Ask mallory's app to fork, again and again, while somebody waits for the CPU. Its master."""
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.is_set():
            tenants.get("mallory.example", "/fork")

    with two_on_one_core():
        asking = threading.Thread(target=ask)
        asking.start()
        try:
            yield tenants.leader("mallory.example")
        finally:
            is_over.set()
            asking.join()


def soft_limits(tenants: Tenants, master: int) -> set[str]:
    """How many processes mallory's user may have, by the limits of the processes of the app, except
    its master's."""
    found = set()
    for group in groups(tenants.folder):
        for listed in group.glob("v-mallory.example/*/cgroup.procs"):
            for pid in members(listed.parent) - {master}:
                with suppress(ProcessLookupError, FileNotFoundError):
                    limits = Path(f"/proc/{pid}/limits").read_text()
                    found.add(limits.partition("Max processes")[2].split()[0])
    return found


def replaced_worker(tenants: Tenants, master: int) -> list[psutil.Process]:
    """Kill the worker, and see that the master makes another one. What the first one has forked."""
    [worker] = psutil.Process(master).children()
    lingering = worker.children()
    worker.kill()
    eventually(lambda: psutil.Process(master).children() not in ([], [worker]))
    assert tenants.get("mallory.example").status == 200, "the master has made a new worker"
    return lingering


def test_no_process_is_copied_for_a_fork_bomb(tenants: Tenants) -> None:
    host_bomb(tenants)
    with forking_on(tenants) as master:
        eventually(lambda: soft_limits(tenants, master) == {"0"}, what="forks are refused early")
        assert "mallory.example goes on forking at a limit on processes" in tenants.log.read_text()
        assert tenants.get("mallory.example").status == 200
    replaced_worker(tenants, master)[0].kill()
    eventually(lambda: "0" not in soft_limits(tenants, master), what="it has room, and may fork")


def test_early_refusal_takes_no_process_from_a_tenant(tenants: Tenants) -> None:
    host_bomb(tenants)
    with at_most(tenants, 30):
        with forking_on(tenants) as master:
            eventually(lambda: soft_limits(tenants, master) == {"0"})
        replaced_worker(tenants, master)


def program(tenants: Tenants) -> int | None:
    """The pid of the program that has forks refused, if it runs."""
    for process in tenants.children():
        with suppress(psutil.Error):
            if "RLIMIT_NPROC" in " ".join(process.cmdline()):
                return process.pid
    return None


def test_a_tenant_cannot_keep_the_program(tenants: Tenants) -> None:
    host_bomb(tenants)
    with forking_on(tenants) as master:
        eventually(lambda: soft_limits(tenants, master) == {"0"})
    pid = eventually(lambda: program(tenants))
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # as its user may
    replaced_worker(tenants, master)[0].kill()
    eventually(lambda: program(tenants) != pid)


def test_an_upgrade_gives_processes_their_limits_back(tenants: Tenants) -> None:
    host_bomb(tenants)
    with forking_on(tenants) as master:
        eventually(lambda: soft_limits(tenants, master) == {"0"})
    before = program(tenants)
    assert tenants.call("POST", "/v1/upgrade")[0] == 202
    eventually(lambda: program(tenants) != before and "0" not in soft_limits(tenants, master))
    assert tenants.leader("mallory.example") == master
