"""A real uWSGI that one launcher has started and another one goes on with."""

import asyncio
import os
import resource
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from emperor.linux.listeners import UnixListener, UnixListeners
from emperor.model.ports import Exit, Message
from emperor.model.settings import read_settings
from emperor.model.snapshot import ProcessMark
from emperor.model.spec import Spec
from emperor.uwsgi.launcher import UwsgiLauncher, UwsgiProcess
from emperor.uwsgi.options import UwsgiOptions
from tests.eventually import eventually_async
from tests.traces import public_folder

APPS = Path(__file__).parents[1] / "apps"
UWSGI = Path(sys.executable).with_name("uwsgi")


@dataclass
class Told:
    """What a governor would be told."""

    news: list[Message] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)

    def on_message(self, _domain: str, _generation: int, news: Message) -> None:
        self.news.append(news)

    def on_exit(self, _domain: str, _generation: int, ended: Exit) -> None:
        self.ends.append(str(ended))


class House:
    """One ini, its listener, and launchers one after the other."""

    def __init__(self, folder: Path) -> None:
        flags = {
            "vassals-dir": f"{folder}/v",
            "log-dir": f"{folder}/l",
            "sockets-dir": f"{folder}/s",
        }
        for path in flags.values():
            Path(path).mkdir()
        self.settings = read_settings("", "the test", flags)
        self.spec = Spec(
            "a.example", "a.example.ini", f"{folder}/s/a.example/socket", UwsgiOptions()
        )
        ini = f"[uwsgi]\nsocket = {self.spec.socket}\nfile = {APPS}/plain.py\n"
        (folder / "v/a.example.ini").write_text(ini)
        self.open_files = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.listener: UnixListener = UnixListeners(
            self.settings, asyncio.get_running_loop()
        ).listen(self.spec)

    def launcher(self) -> UwsgiLauncher:
        return UwsgiLauncher(UWSGI, self.settings, asyncio.get_running_loop(), self.open_files)

    def prepare(self, told: Told) -> UwsgiProcess:
        return self.launcher().prepare(self.spec, self.listener, 1, told)

    def adopt(self, mark: ProcessMark, fds: Sequence[int], told: Told) -> UwsgiProcess | None:
        return self.launcher().adopt(self.spec, mark, fds, 1, told)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    with public_folder() as folder:
        house = House(folder)
        before = len(os.listdir("/proc/self/fd"))
        yield house
        after = len(os.listdir("/proc/self/fd"))
        house.listener.close()
        assert after == before


def abandoned(process: UwsgiProcess) -> list[int]:
    """Its descriptors in a bag, and nobody else has them any more."""
    kept = [os.dup(fd) for fd in process.fds]
    loop = asyncio.get_running_loop()
    for fd in process.fds:
        loop.remove_reader(fd)
    process._pipe._near.close()
    process._pipe.close_far()
    if process._process:
        assert process._process.pidfd is not None
        os.close(process._process.pidfd)
    return kept


async def test_a_process_is_gone_on_with_by_its_pipe_and_its_pidfd(house: House) -> None:
    first, second = Told(), Told()
    process = house.prepare(first)
    process.start()
    heir = house.adopt(process.mark, abandoned(process), second)
    assert heir
    assert (heir.pid, heir.mark) == (process.pid, process.mark)
    await eventually_async(lambda: Message.ACCEPTING in second.news)
    heir.drain()
    assert await eventually_async(lambda: second.ends) == ["exit status 0"]
    assert (first.news, first.ends) == ([], [])


async def test_one_whose_pid_could_not_be_noted_any_more_is_found_by_its_pipe(house: House) -> None:
    told = Told()
    process = house.prepare(Told())
    noted = replace(process.mark)
    assert noted.pid is None
    process.start()
    [pipe, pidfd] = abandoned(process)
    os.close(pidfd)
    heir = house.adopt(noted, [pipe], told)
    assert heir
    assert heir.pid == process.pid
    heir.kill()
    assert await eventually_async(lambda: told.ends) == ["killed by SIGKILL"]


async def test_one_that_was_never_spawned_is_none_and_nothing_is_left_of_it(house: House) -> None:
    process = house.prepare(Told())
    assert house.adopt(process.mark, abandoned(process), Told()) is None


async def test_why_it_died_is_read_from_where_its_own_words_begin(house: House) -> None:
    told = Told()
    log = house.settings.log_dir / "a.example.log"
    log.write_text("Traceback (most recent call last):\nKeyError: 'of an earlier process'\n")
    process = house.prepare(Told())
    house.spec = replace(house.spec, ini="missing.ini")
    process.start()
    heir = house.adopt(process.mark, abandoned(process), told)
    assert heir
    heir.kill()
    [how] = await eventually_async(lambda: told.ends)
    assert "KeyError" not in how
