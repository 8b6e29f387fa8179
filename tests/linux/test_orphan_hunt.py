"""What an app leaves behind ends with it, also where the kernel does not tell of it for a while."""

import asyncio
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from emperor.linux import orphans, timed_query
from emperor.linux.orphans import Family, Mark, OrphanHunt
from emperor.linux.proc import children_of, state_fields
from tests.eventually import eventually_async
from tests.threads import no_thread_left


@contextmanager
def marked(value: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process with HUNTED=`value` in its environment."""
    with subprocess.Popen(["/bin/sleep", "1000"], env={"HUNTED": value}) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_a_silent_process_ends_once_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timed_query, "PATIENCE_SECONDS", 0.05)
    answers = threading.Event()
    with marked("1") as silent, marked("1") as talking, marked("2") as stranger:

        def tell(pid: int) -> list[str]:
            if pid == silent.pid:
                answers.wait()
            return state_fields(pid)

        monkeypatch.setattr(orphans, "state_fields", tell)
        family = Family(asyncio.get_running_loop())
        OrphanHunt(family, Mark("HUNTED=1", 0, 99), os.getpid(), os.getuid()).end([])
        await eventually_async(lambda: talking.poll() is not None)
        assert silent.poll() is None
        answers.set()
        await eventually_async(lambda: silent.poll() is not None)
        assert stranger.poll() is None


async def test_without_a_thread_the_hunt_goes_on_later(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    def children(pid: int) -> list[int]:
        looks.append(pid)
        return list(children_of(pid))

    monkeypatch.setattr(orphans, "children_of", children)
    with marked("1") as orphan:
        family = Family(asyncio.get_running_loop())
        with no_thread_left():
            OrphanHunt(family, Mark("HUNTED=1", 0, 99), os.getpid(), os.getuid()).end([])
            for _ in range(50):
                await asyncio.sleep(0)
        assert len(looks) == 1
        await eventually_async(lambda: orphan.poll() is not None)
