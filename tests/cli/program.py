"""emperorctl as a program of its own: in a pipe, and on a terminal."""

import os
import pty
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyte

from tests.eventually import PATIENCE_SECONDS

COMMAND = (sys.executable, "-c", "from emperor.cli.main import main; main()")
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "PYTHONPATH": str(Path(__file__).parents[2]),
    "TERM": "xterm",
    "LANG": "C.UTF-8",
}


def command(run_dir: Path, *arguments: str) -> list[str]:
    """The argument vector."""
    return [*COMMAND, "--run-dir", str(run_dir), *arguments]


def finished(run_dir: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run to the end, with pipes for stdout and stderr."""
    return subprocess.run(
        command(run_dir, *arguments),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


class OnTerminal:
    """emperorctl with a terminal of 80 by 24 as its stdin, stdout and stderr."""

    def __init__(self, process: "subprocess.Popen[bytes]", master: int) -> None:
        self.process = process
        self._master = master
        self._seen = b""

    def screen(self) -> str:
        """All that was written to the terminal until now."""
        # A terminal whose other side is closed gives EIO.
        with suppress(BlockingIOError, OSError):
            while piece := os.read(self._master, 65536):
                self._seen += piece
        return self._seen.decode()

    def shown(self) -> list[str]:
        """The lines that a terminal shows after all that."""
        rows, columns = termios.tcgetwinsize(self._master)
        screen = pyte.Screen(columns, rows)
        pyte.Stream(screen).feed(self.screen())
        return [line.rstrip() for line in screen.display]

    def type(self, keys: str) -> None:
        """Press these keys."""
        os.write(self._master, keys.encode())

    def resize(self, rows: int, columns: int) -> None:
        """Change the size of the window."""
        termios.tcsetwinsize(self._master, (rows, columns))

    @property
    def echoes(self) -> bool:
        """Whether the terminal shows what is typed, as it does for a shell."""
        return bool(termios.tcgetattr(self._master)[3] & termios.ECHO)


@contextmanager
def on_terminal(
    run_dir: Path, *arguments: str, extra: dict[str, str] | None = None, stdin: int | None = None
) -> Iterator[OnTerminal]:
    """Run on a terminal; killed at the end of the block if it still runs."""
    master, slave = pty.openpty()
    os.set_blocking(master, False)
    termios.tcsetwinsize(slave, (24, 80))
    process = subprocess.Popen(
        command(run_dir, *arguments),
        env=ENVIRONMENT | (extra or {}),
        stdin=slave if stdin is None else stdin,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield OnTerminal(process, master)
    finally:
        process.kill()
        process.wait()
        os.close(master)
