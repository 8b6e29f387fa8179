"""The rivals of emperord: uWSGI alone, uWSGI's own Emperor, and a plain nginx."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

from emperor.linux.accounts import own_user
from emperor.model.spec import Spec
from emperor.uwsgi.command import LISTENER_FD, argv
from emperor.uwsgi.copies import Copy
from emperor.uwsgi.environment import environment_of
from emperor.uwsgi.options import UwsgiOptions
from tests.bench.place import running, serving
from tests.eventually import eventually
from tests.nginx_server import free_ports

UWSGI = Path(sys.executable).with_name("uwsgi")
_BACKLOG = 4096
_ABOVE_OURS = 64
_LONGEST_ANSWER = 100


class Bare:
    """An app on an existing listening socket, started with emperord's command but without an
    emperor: the lower bound of a cold start. A context manager; `pid` is that of the app's master,
    None while it does not run. `spawn` gets uWSGI's options, the listener and the path of the log,
    and returns the pid."""

    def __init__(
        self, ini: Path, path: Path, spawn: Callable[[Sequence[str], int, str], int] | None = None
    ) -> None:
        self.path = path
        self._ini = ini
        self._spawn = spawn or _spawn
        self.pid: int | None = None

    def __enter__(self) -> Self:
        self.path.parent.mkdir(exist_ok=True)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(self.path))
        self.path.chmod(0o666)
        self._socket.listen(_BACKLOG)
        return self

    def __exit__(self, *_: object) -> None:
        if self.pid is not None:
            os.killpg(self.pid, signal.SIGKILL)
            with suppress(ChildProcessError):  # of another process
                os.waitpid(self.pid, 0)
        self._socket.close()
        self.path.unlink()

    def start(self) -> None:
        """Spawn the app. Returns before the app accepts."""
        spec = Spec(self.path.stem, str(self._ini), str(self.path), UwsgiOptions(need_app=True))
        options = argv(str(UWSGI), spec, Copy(spec.ini))[1:]
        self.pid = self._spawn(options, self._socket.fileno(), f"{self._ini}.log")


def _spawn(options: Sequence[str], listener: int, log: str) -> int:
    # dup2 of a descriptor to itself would not clear close-on-exec.
    listener = fcntl.fcntl(listener, fcntl.F_DUPFD_CLOEXEC, _ABOVE_OURS)
    try:
        return os.posix_spawn(
            UWSGI,
            [str(UWSGI), *options],
            environment_of(own_user(), os.environ),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                (os.POSIX_SPAWN_DUP2, listener, LISTENER_FD),
            ],
            setsid=True,
        )
    finally:
        os.close(listener)


class PlainFork:
    """Starts apps as forks of a plain interpreter (tests/bench/plain_fork.py) that has imported
    these modules: the lower bound of a start from a base. A context manager."""

    def __init__(self, python: Path, modules: Sequence[str]) -> None:
        self._command = [str(python), str(Path(__file__).with_name("plain_fork.py"))]
        self._modules = modules

    def __enter__(self) -> Self:
        self._control, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with far:
            fds = str(far.fileno()), str(LISTENER_FD)
            self._process = subprocess.Popen(
                [*self._command, *fds, *self._modules],
                pass_fds=[far.fileno()],
                env=environment_of(own_user(), os.environ),
            )
        if self._control.recv(_LONGEST_ANSWER) != b"ready":
            raise ConnectionError("cannot measure: the plain interpreter does not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._control.close()
        self._process.wait()

    def spawn(self, options: Sequence[str], listener: int, log: str) -> int:
        """See `Bare`."""
        with open(log, "ab") as output:
            fds = [listener, output.fileno()]
            socket.send_fds(self._control, ["\0".join(options).encode()], fds)
            return int(self._control.recv(_LONGEST_ANSWER))


class Incumbent:
    """uWSGI's own Emperor over `folder`/theirs, whose vassals start on demand at the sockets in
    `folder`/their-sockets. A context manager."""

    def __init__(self, folder: Path, backlog: int = _BACKLOG) -> None:
        self.vassals = folder / "theirs"
        self.sockets = folder / "their-sockets"
        self.log = folder / "their.log"
        for path in (self.vassals, self.sockets):
            path.mkdir(exist_ok=True)
            path.chmod(0o755)
        self.command: list[str | Path] = [
            UWSGI, "--emperor", self.vassals, "--emperor-on-demand-directory", self.sockets,
            "--listen", str(backlog), "--max-fd", "20000",
        ]  # fmt: skip
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._process = self._stack.enter_context(running(self.command, self.log))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def listener(self, domain: str) -> Path:
        """The path of the socket that the Emperor binds for a vassal."""
        return self.sockets / f"{domain}.socket"

    def drop(self, domain: str, text: str) -> None:
        """Move an ini into the folder of the vassals."""
        draft = self.vassals / f"{domain}.draft"
        draft.write_text(text)
        draft.rename(self.vassals / f"{domain}.ini")

    def until_listening(self, domain: str) -> None:
        """Wait until the vassal's socket exists. The Emperor scans its folder every 3 seconds."""
        eventually(self.listener(domain).exists, alive=[self._process], seconds=30)

    def said(self, words: str) -> int:
        """How often its log has these words."""
        return self.log.read_text(errors="replace").count(words)


_CONF = """\
user www-data;
worker_processes auto;
worker_rlimit_nofile 20000;
pid {place}/nginx.pid;
events {{ worker_connections 16384; }}
http {{
    access_log {place}/access.log;
    client_body_temp_path {place}/body;
    uwsgi_temp_path {place}/uwsgi;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    scgi_temp_path {place}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            include /etc/nginx/uwsgi_params;
            uwsgi_read_timeout 300s;
            proxy_set_header Host $host;
            {passes}
        }}
    }}
}}
"""


_UWSGI_PASS = "uwsgi_pass unix:{sockets}/$host.socket;"
_PROXY_PASS = "proxy_pass http://unix:{sockets}/$host.socket:$request_uri;"


class PlainNginx:
    """nginx with a minimal configuration, which passes a request to the socket with the name of its
    host in `sockets`, in the uwsgi protocol or over HTTP. A context manager; `pid` is that of its
    master."""

    pid: int

    def __init__(self, folder: Path, sockets: Path, http: bool = False) -> None:
        [self.port] = free_ports(1)
        self._place = folder / "plain-nginx"
        self._place.mkdir()
        passes = (_PROXY_PASS if http else _UWSGI_PASS).format(sockets=sockets)
        self._conf = self._place / "nginx.conf"
        self._conf.write_text(_CONF.format(place=self._place, port=self.port, passes=passes))
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.pid = self._stack.enter_context(serving(self._conf)).pid
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
