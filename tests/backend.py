"""A whole backend on loopback: nginx with the shipped configuration, the real daemon, real apps."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import IO, Any, Self

import psutil

from tests.controllers import expected_at_a_start
from tests.eventually import PATIENCE_SECONDS, eventually
from tests.http_client import Reply, Request, ask
from tests.launcher import LAUNCHER, Launcher
from tests.nginx_server import Nginx

BIN = Path(sys.executable).parent
APPS = Path(__file__).parent / "apps"
SPARES = 2  # of a base that no app is being forked from

# Runs a command whose stderr is that file.
Launch = Callable[[Sequence[str], IO[bytes]], "subprocess.Popen[bytes]"]


def ends_after(command: str) -> str:
    """A value of hook-as-user-atexit by which an app ends when the command has ended. emperord
    sends SIGHUP to the children of a master that has not stopped after 3 s."""
    return f"exec:trap '' HUP; {command}"


class UnixConnection(HTTPConnection):
    """http.client over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def is_base(process: psutil.Process) -> bool:
    """Whether it is a base, or a spare."""
    try:
        # It takes its name when it has imported what it needs for that.
        has_begun = any(word.endswith("/bases/base.py") for word in process.cmdline())
        return has_begun or process.name() == "emperord-base"
    except psutil.NoSuchProcess:
        return False


def _owned(base: Mapping[str, Any]) -> tuple[int, int]:
    """How many spares a base has, and whose child it is."""
    try:
        return base["spares"], psutil.Process(base["pid"]).ppid()
    except psutil.NoSuchProcess:
        return 0, 0


def _launch(command: Sequence[str], stderr: IO[bytes]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=stderr)


_STATE = "state"
_VARIABLE = "STATE_DIRECTORY"


def with_state(folder: Path) -> list[str]:
    """The command that gives a daemon a folder of that name, in which it keeps what it learns, as
    StateDirectory= of its unit does."""
    (folder / _STATE).mkdir(exist_ok=True)
    return ["env", f"{_VARIABLE}={folder}/{_STATE}"]


def ungrouped() -> list[str]:
    """The command that gives a daemon a machine where nobody can make control groups."""
    without = 'umount -R /sys/fs/cgroup && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", without, "sh"]


class Daemon:
    """emperord in a folder of its own. A context manager; its end checks that nothing is left:
    no unexpected warning, no process, no socket, no descriptor."""

    def __init__(self, folder: Path, **flags: str) -> None:
        self.folder = folder
        self.launch: Launch = _launch
        self.vassals = folder / "vassals"
        self.sockets = folder / "sockets"
        self.run_dir = folder / "run"
        self.kept = folder / _STATE
        self.logs = folder / "logs"
        self.log = folder / "emperord.log"
        self._expected = expected_at_a_start()
        self._process: subprocess.Popen[bytes] | None = None
        self.under: list[str] = []  # a command that runs it
        self.may_leave: set[str] = set()  # files that a stop may leave besides what it has learnt
        self._flags = {
            "vassals-dir": str(self.vassals),
            "sockets-dir": str(self.sockets),
            "run-dir": str(self.run_dir),
            "log-dir": str(self.logs),
            # Most inis of the tests are root's and name no user, and the tenants are Debian's own.
            "allow-root": "true",
            "min-uid": "1",
            # Tests count processes and descriptors, and look at the CPU.
            "byte-compile": "false",
        }
        if LAUNCHER is Launcher.OFF:
            self._flags["bases"] = "off"
        self._flags |= {name.replace("_", "-"): value for name, value in flags.items()}
        for path in (self.vassals, self.sockets, self.run_dir, self.logs):
            path.mkdir(exist_ok=True)
            path.chmod(0o755)

    @property
    def command(self) -> list[str]:
        """The command that starts the daemon."""
        flags = [f"--{name}={value}" for name, value in self._flags.items()]
        return [*self.under, str(BIN / "emperord"), *flags]

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None
        return self._process

    def start(self) -> None:
        """Start the daemon, and return when it answers."""
        with self.log.open("ab") as log, self._variables():
            self._process = self.launch(self.command, log)
        eventually(self._answers, alive=[self._process], what=f"emperord answers ({self.log})")

    @contextmanager
    def _variables(self) -> Iterator[None]:
        """In which environment it is launched. `under` may say something else."""
        if LAUNCHER is not Launcher.HOME or _VARIABLE in os.environ:
            yield
            return
        self.kept.mkdir(exist_ok=True)
        os.environ[_VARIABLE] = str(self.kept)
        try:
            yield
        finally:
            del os.environ[_VARIABLE]

    def crash(self) -> None:
        """Kill the daemon, and start another."""
        self.process.kill()
        self.process.wait()
        self.start()

    def stop(self) -> int:
        """Stop the daemon in order, and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._end_leftovers()
            sys.stderr.write(self.log.read_text(errors="replace"))
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            status = self.stop()
        finally:
            self.process.kill()
            left = self._end_leftovers()
        if kind is not None:
            sys.stderr.write(self.log.read_text(errors="replace"))
            return
        assert status == 0
        assert not left, f"processes outlived the daemon: {left}"
        assert not (lines := self.unexpected_lines()), "\n".join(lines)
        assert not list(self.sockets.iterdir()), "sockets were left behind"
        places = (self.run_dir, *self.folder.glob(_STATE))
        kept = {path.name for place in places for path in place.iterdir()}
        kept -= {"history.db", "read-ahead", "pulled"}  # of what it has learnt
        assert kept - self.may_leave == {"emperord.lock", "good-inis"}, kept

    def expect(self, pattern: str) -> None:
        """Announce warnings that this test provokes."""
        self._expected.append(pattern)

    def unexpected_lines(self) -> list[str]:
        """Lines of WARNING or worse, and tracebacks, that were not announced."""
        return [
            line
            for line in self.log.read_text(errors="replace").splitlines()
            if not re.search(r" INFO ", line)
            and not any(re.search(pattern, line) for pattern in self._expected)
        ]

    def lines(self, pattern: str) -> list[str]:
        """Lines of the daemon's log that match."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if re.search(pattern, line)]

    # What an administrator does.

    def ini(self, domain: str, app: str = "plain.py", **options: str) -> str:
        """The talk's three lines for one of tests/apps, and further ones."""
        lines = {
            "socket": str(self.sockets / domain / "socket"),
            "file": str(APPS / app),
            "idle": "93600",
        } | {name.replace("_", "-"): value for name, value in options.items()}
        return "[uwsgi]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items())

    def drop(self, domain: str, text: str) -> None:
        """`mv` an ini into the folder."""
        draft = self.folder / f"{domain}.draft"
        draft.write_bytes(text.encode(errors="surrogateescape"))
        draft.rename(self.vassals / f"{domain}.ini")

    def add(self, domain: str, app: str = "plain.py", **options: str) -> None:
        """Drop an ini, and return when its socket listens."""
        self.drop(domain, self.ini(domain, app, **options))
        self.until(domain, "parked")

    def remove(self, domain: str) -> None:
        """Take the ini away."""
        (self.vassals / f"{domain}.ini").unlink()

    # What the daemon tells.

    def call(self, method: str, path: str) -> tuple[int, Any]:
        """Ask the control API: the status, and the decoded body."""
        connection = UnixConnection(self.run_dir / "control.sock")
        try:
            connection.connect()
            with connection.sock.dup() as same:
                connection.request(method, path, headers={"Connection": "close"})
                response = connection.getresponse()
                body = response.read()
                kind = response.getheader("Content-Type", "")
                # Until the daemon has closed its end, which tests that count descriptors rely on.
                assert same.recv(1) == b""
            return response.status, json.loads(body) if "json" in kind else body.decode()
        finally:
            connection.close()

    def vassal(self, domain: str) -> dict[str, Any] | None:
        """The vassal's row of the status, None when there is none."""
        status, detail = self.call("GET", f"/v1/vassals/{domain}")
        return detail["status"] if status == 200 else None

    def detail(self, domain: str) -> dict[str, Any]:
        """What `emperorctl why` shows."""
        status, detail = self.call("GET", f"/v1/vassals/{domain}")
        assert status == 200, detail
        assert isinstance(detail, dict)
        return detail

    def started(self, domain: str) -> str:
        """How the app was started."""
        way: str = self.detail(domain)["started"]
        return way

    def state(self, domain: str) -> str | None:
        """The vassal's state, None when there is no such vassal."""
        vassal = self.vassal(domain)
        return vassal["state"] if vassal else None

    def leader(self, domain: str) -> int:
        """The pid of the vassal's leading master."""
        vassal = self.vassal(domain)
        assert vassal
        pid: int = vassal["pid"]
        return pid

    def until(self, domain: str, state: str | None) -> None:
        """Wait until the vassal is in that state."""
        what = f"{domain} is {state}"
        eventually(lambda: self.state(domain) == state, alive=[self.process], what=what)

    def inode(self, domain: str) -> int:
        """The inode of the vassal's socket."""
        return (self.sockets / domain / "socket").stat().st_ino

    @property
    def fds(self) -> int:
        """How many descriptors the daemon has open, when its base is ready."""
        self.until_base_is_ready()
        return psutil.Process(self.process.pid).num_fds()

    def children(self) -> list[psutil.Process]:
        """All live descendants of the daemon but its base."""
        return [child for child in self._descendants() if not is_base(child)]

    def bases(self) -> list[psutil.Process]:
        """The base and its spares."""
        return [child for child in self._descendants() if is_base(child)]

    def until_base_is_ready(self) -> None:
        """Wait until apps can be forked, or for the reason why they cannot."""
        eventually(self._has_spares, what="its bases are ready")

    def _has_spares(self) -> bool:
        _, answer = self.call("GET", "/v1/bases")
        can_have_none = bool(answer["why_none"])
        # After a crash there is that of the earlier daemon for a moment.
        own = {(SPARES, self.process.pid)}
        return can_have_none or {_owned(base) for base in answer["bases"]} == own

    def _descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def _answers(self) -> bool:
        try:
            return self.call("GET", "/v1/status")[0] == 200
        except OSError:
            return False

    def _end_leftovers(self) -> list[str]:
        """Processes whose log, listener or command is in this test's folder; killed."""
        left = []
        for process in psutil.process_iter():
            try:
                words = " ".join(process.cmdline()) + process.cwd()
                if (
                    str(self.folder) in words
                    and process.pid != os.getpid()
                    and "nginx" not in words
                ):
                    left.append(f"{process.pid} {words}")
                    process.kill()
            except psutil.Error:
                continue
        return left


class Backend(Daemon):
    """The daemon behind nginx."""

    def __init__(self, folder: Path, nginx: Nginx, **flags: str) -> None:
        super().__init__(folder, **flags)
        self.nginx = nginx

    def get(self, host: str, path: str = "/", headers: Mapping[str, str] | None = None) -> Reply:
        """A request through nginx."""
        return ask(self.nginx.port, Request(host, path, headers=headers or {}))

    def browse(self, host: str, path: str = "/") -> Reply:
        """A request as a browser that navigates sends it."""
        return self.get(host, path, {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"})

    def post(self, host: str, body: bytes, path: str = "/") -> Reply:
        """A POST through nginx."""
        return ask(self.nginx.port, Request(host, path, "POST", body=body))
