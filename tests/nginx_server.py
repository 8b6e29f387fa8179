"""A real nginx that runs the shipped configuration."""

import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from docs.examples.backend import render
from tests.eventually import eventually

# A knock on the door of an app that does not accept, or that does not exist (nginx/backend.conf).
_KNOCK = r"connect\(\) to unix:\S+/socket failed \((13: Permission denied|2: No such file)"
_SECONDS = 30.0


@contextmanager
def public_folder() -> Iterator[Path]:
    """A short-named empty folder that nginx's workers can enter; gone afterwards.

    pytest's own lie below one that is closed to other users, and are too long for sockets.
    """
    folder = Path(tempfile.mkdtemp(prefix="emperord-", dir="/tmp"))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder)


def free_ports(count: int) -> list[int]:
    """So many different TCP ports of 127.0.0.1 that nobody listens on now."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


class Nginx:
    """nginx with workers of www-data on two free ports, over the sockets in `folder`/sockets.

    A context manager. Its end fails the test if the error log holds a line that neither is a
    knock on a closed door nor was announced by `expect`.
    """

    def __init__(self, folder: Path) -> None:
        self.port, self.tls_port = free_ports(2)
        for name in ("sockets", "run"):
            (folder / name).mkdir(exist_ok=True)
        self._conf = render(folder, self.port, self.tls_port)
        self._error_log = self._conf.with_name("error.log")
        self._expected = [_KNOCK]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command: list[str | Path] = [
            "nginx",
            "-e",
            self._error_log,
            "-c",
            self._conf,
            "-g",
            "daemon off;",
        ]
        self._process = process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        eventually(self._listens, alive=[process], what="nginx listens")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        assert self._process.wait(_SECONDS) == 0
        if kind is None:
            assert not (lines := self.unexpected_errors()), "\n".join(lines)

    def expect(self, pattern: str) -> None:
        """Announce lines of the error log that this test provokes."""
        self._expected.append(pattern)

    def unexpected_errors(self) -> list[str]:
        """Lines of the error log that nobody announced."""
        lines = self._error_log.read_text(errors="replace").splitlines()
        return [line for line in lines if not any(re.search(e, line) for e in self._expected)]

    def access_lines(self) -> list[str]:
        """The access log, which nginx writes after a reply was sent."""
        return self._conf.with_name("access.log").read_text().splitlines()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
