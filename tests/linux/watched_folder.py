"""A watched folder, changed as administrators and their tools change it."""

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from emperor.linux.watch import Changes, FolderWatch
from tests.eventually import eventually_async

EVERYTHING = Changes(everything=True)


class Watched:
    """A watched folder and the changes that it has reported."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: list[Changes] = []
        self.watches: list[FolderWatch] = []

    def watch(
        self, rescan_seconds: float = 3600.0, cpu: Callable[[], float] = time.thread_time
    ) -> None:
        loop = asyncio.get_running_loop()
        self.watches.append(FolderWatch(self.folder, loop, self.seen.append, rescan_seconds, cpu))

    def close(self) -> None:
        for watch in self.watches:
            watch.close()

    def names(self) -> set[str]:
        return {name for changes in self.seen for name in changes.names}

    async def settled(self) -> set[str]:
        """All names that were reported until a file that is made now was."""
        mark = self.folder / "mark.ini"
        mark.touch()
        await eventually_async(lambda: mark.name in self.names())
        names = self.names() - {mark.name}
        self.seen.clear()
        return names

    def run(self, command: str) -> None:
        """In the folder's parent, where it is `vassals`."""
        subprocess.run(["/bin/sh", "-ec", command], cwd=self.folder.parent, check=True)

    def run_above(self, command: str) -> None:
        subprocess.run(["/bin/sh", "-ec", command], cwd=self.folder.parent.parent, check=True)

    def run_within(self, command: str) -> None:
        self.run(f"cd vassals; {command}")

    @contextmanager
    def somebody_within(self) -> Iterator[None]:
        with subprocess.Popen(["/bin/sleep", "1000"], cwd=self.folder) as process:
            try:
                yield
            finally:
                process.kill()

    def overflow(self) -> None:
        limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
        name, other = self.folder / "a.ini", self.folder / "b.ini"
        name.touch()
        for _ in range(limit // 2 + 1):  # two events each, and no two alike in a row
            name.rename(other)
            name, other = other, name

    def touch(self, name: bytes) -> None:
        os.close(os.open(os.fsencode(self.folder) + b"/" + name, os.O_WRONLY | os.O_CREAT))

    async def everything_is_told(self) -> None:
        await eventually_async(lambda: EVERYTHING in self.seen)
        self.seen.clear()
