"""A real nginx that runs a rendered configuration."""

import re
import signal
import socket
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import psutil

from docs.examples.backend import render
from tests.eventually import PATIENCE_SECONDS, eventually

# A knock on the door of an app that does not accept, or that does not exist (nginx/backend.conf).
_KNOCK = r"connect\(\) to unix:\S+/socket failed \((13: Permission denied|2: No such file)"


def free_ports(count: int) -> list[int]:
    """The numbers of so many different TCP ports of 127.0.0.1 that are free now.

    They stay free: no other run is in this network (tests/host.py)."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def nginx_version() -> tuple[int, ...]:
    """The version of this machine's nginx, as (1, 22, 1)."""
    said = subprocess.run(["nginx", "-v"], stderr=subprocess.PIPE, text=True, check=True).stderr
    [version] = re.findall(r"nginx/([0-9.]+)", said)
    return tuple(map(int, version.split(".")))


class NginxServer:
    """nginx with workers of www-data that runs `conf` and listens on a port of an address. `conf`
    names nginx.pid and error.log beside itself.

    A context manager. Its end fails the test if the error log holds a line that was neither
    announced by `expect` nor matches one of `expected`.
    """

    def __init__(self, conf: Path, address: str, port: int, expected: Iterable[str] = ()) -> None:
        self.address = address
        self.port = port
        self.conf = conf
        self._error_log = conf.with_name("error.log")
        self._expected = [*expected]
        self._under: Sequence[str] = ()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL)
        # nginx writes it once all addresses listen and SIGTERM is handled.
        pid_file = self.conf.with_name("nginx.pid")
        try:
            eventually(pid_file.exists, alive=[process], what="nginx has started")
        except BaseException:
            process.terminate()
            process.wait()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        assert self._process.wait(PATIENCE_SECONDS) == 0
        if kind is None:
            assert not (lines := self.unexpected_errors()), "\n".join(lines)

    @property
    def command(self) -> list[str | Path]:
        """What starts it, in the foreground."""
        return [*self._under, "nginx", "-e", self._error_log, "-c", self.conf, "-g", "daemon off;"]

    def reload(self) -> None:
        """Have nginx read its configuration again, which takes a moment."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def workers(self) -> set[int]:
        """The pids of its workers. After a reload, the old ones answer until they are gone."""
        assert self._process is not None
        return {child.pid for child in psutil.Process(self._process.pid).children()}

    def expect(self, pattern: str) -> None:
        """Announce lines of the error log that this test provokes."""
        self._expected.append(pattern)

    def error_lines(self) -> list[str]:
        """The error log."""
        return self._error_log.read_text(errors="replace").splitlines()

    def unexpected_errors(self) -> list[str]:
        """Lines of the error log that were not announced."""
        return [
            line
            for line in self.error_lines()
            if not any(re.search(expected, line) for expected in self._expected)
        ]

    def access_lines(self) -> list[str]:
        """The access log, which nginx writes after a reply was sent."""
        return self.conf.with_name("access.log").read_text().splitlines()


class Nginx(NginxServer):
    """The shipped backend over the sockets in `folder`/sockets. It listens on two `ports`, for http
    and https, of `addresses`: an IPv4 address, and perhaps an IPv6 address in brackets.

    A knock on a closed door is no unexpected line of its error log.
    """

    def __init__(
        self,
        folder: Path,
        addresses: Sequence[str] = ("127.0.0.1",),
        ports: tuple[int, int] | None = None,
    ) -> None:
        port, self.tls_port = ports or free_ports(2)
        for name in ("sockets", "run"):
            (folder / name).mkdir(exist_ok=True)
        conf = render(folder, port, self.tls_port, addresses)
        super().__init__(conf, addresses[0], port, [_KNOCK])
