"""A folder of sockets with the listeners in it, and clients of several users."""

import asyncio
import os
import socket
import stat
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from emperor.linux.listeners import UnixListener, UnixListeners
from emperor.model.settings import read_settings
from emperor.model.spec import Spec
from tests.supervisor.world import SPEC

NGINX = (33, 33)
TENANT = (12345, 12345)


@contextmanager
def acting_as(uid: int, gid: int) -> Iterator[None]:
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def connect(path: Path | str) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    try:
        client.connect(os.fspath(path))
    except BaseException:
        client.close()
        raise
    return client


def may_pass(who: tuple[int, int], path: Path) -> bool:
    try:
        with acting_as(*who), connect(path):
            return True
    except PermissionError:
        return False


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class House:
    """A folder of sockets, and the listeners in it, which are closed at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sockets = folder / "sockets"
        self.listeners = self.listeners_of()
        self.made: list[UnixListener] = []

    def listeners_of(self, **settings: str) -> UnixListeners:
        flags = {name.replace("_", "-"): value for name, value in settings.items()}
        read = read_settings("", "the test", {"sockets-dir": str(self.sockets)} | flags)
        return UnixListeners(read, asyncio.get_running_loop())

    def path(self, domain: str = "a.example") -> Path:
        return self.sockets / domain / "socket"

    def spec(self, domain: str = "a.example", **changes: Any) -> Spec:
        spec = replace(SPEC, domain=domain, ini=f"{domain}.ini", socket=str(self.path(domain)))
        return replace(spec, **changes)

    def listen(self, domain: str = "a.example", **changes: Any) -> UnixListener:
        listener = self.listeners.listen(self.spec(domain, **changes))
        self.made.append(listener)
        return listener

    def leave_a_stale_socket(self, path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as crashed:
            crashed.bind(str(path))


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing in it can be changed, as after an error of its disk."""
    subprocess.run(["mount", "--bind", "-o", "ro", folder, folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def open_fds() -> int:
    """The number of open descriptors but epoll(7), which what makes listeners keeps."""
    targets = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # that of listdir itself
            targets.append(os.readlink(f"/proc/self/fd/{name}"))
    return sum("eventpoll" not in target for target in targets)


@asynccontextmanager
async def house_in(folder: Path) -> AsyncIterator[House]:
    """A house whose listeners are closed at the end, with all their descriptors."""
    before = open_fds()
    house = House(folder)
    yield house
    for listener in house.made:
        listener.close()
    assert open_fds() == before
