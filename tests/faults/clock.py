"""A wall clock of its own for the daemon and its apps, which can be set while they run."""

import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SOURCE = Path(__file__).with_name("clock.c")


class Clock:
    """The clock of each process that the command `under` starts, and of its descendants."""

    def __init__(self, folder: Path) -> None:
        library = folder / "clock.so"
        flags = ["-shared", "-fPIC", "-O", "-Wall", "-Wextra", "-Werror"]
        subprocess.run(["cc", *flags, "-o", library, _SOURCE], check=True)
        self._place = folder / "clock"
        self._place.write_bytes(struct.pack("l", 0))
        self.under = ["env", f"LD_PRELOAD={library}", f"FAULT_CLOCK={self._place}"]

    @contextmanager
    def wrong_by(self, seconds: int) -> Iterator[None]:
        """The clock jumps by so many seconds, and back at the end of the block."""
        self._set(seconds)
        try:
            yield
        finally:
            self._set(0)

    def _set(self, seconds: int) -> None:
        # In place: the processes have mapped this very file.
        with self._place.open("r+b") as file:
            file.write(struct.pack("l", seconds))
