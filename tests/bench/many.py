"""10,000 sleeping apps, of which many change or wake at once: the time that this takes, and the
longest time for which the daemon answers nobody meanwhile."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from docs.figures import Limit
from tests.backend import Daemon, UnixConnection
from tests.bench.apps import copy_apps
from tests.bench.knock import uwsgi_first_byte
from tests.bench.place import DISK, place
from tests.bench.probe import probing
from tests.bench.report import Row, row
from tests.bench.rounds import ROUNDS, Bench
from tests.eventually import eventually
from tests.fdstore import FdStore

_SIZE = 10_000
_SMALL = 50
_APP = Path("/srv/app/application.py")
_PATIENCE_SECONDS = 60.0
_ROUNDS = 5
_LONGEST_WAIT = Limit(0.3)
_LONGEST_UPGRADE = Limit(1.2)
_MOST_FOR_THE_FOLDER = Limit(3.0)
_CHANGED = 1_000
_WAKES = 400
_AT_ONCE = 16
# It accepts at once, and ends when it is told to stop. Its end of the pipe is descriptor 4.
_STUB = "#!/bin/sh\nprintf '\\001\\005' >&4\nexec head -c 1 <&4 >/dev/null\n"


@dataclass(frozen=True, slots=True)
class Change:
    """The seconds until the daemon had done its part, and its longest waits meanwhile."""

    seconds: float
    control: float
    health: float


class Crowd:
    """emperord with `size` sleeping apps. `stack` ends it."""

    def __init__(
        self, folder: Path, stack: ExitStack, size: int, app: Path = _APP, **flags: str
    ) -> None:
        self._config = folder / "emperord.ini"
        self._config.write_text("[emperord]\n")
        self._store = stack.enter_context(FdStore(folder / "notify"))
        self._daemon = Daemon(folder, config=str(self._config), **flags)
        self._app = app
        self._timeouts = count(100)
        self.domains = [f"app{number:05}.example" for number in range(size)]
        self._write(self.domains)
        log = stack.enter_context(self._daemon.log.open("ab"))
        self._process = self._store.start(self._daemon.command, log)
        stack.callback(self._end)
        eventually(lambda: self._ready, alive=[self._process], seconds=_PATIENCE_SECONDS)

    def touch(self) -> Change:
        """Touch all inis, each of which gets a line in the log."""
        lines = self._lines
        return self._during("touch *", lambda: self._lines >= lines + len(self.domains))

    def remove(self) -> Change:
        """Remove half of the inis. They are written again afterwards."""
        sockets, half = self._daemon.sockets, self.domains[::2]

        def are_there(number: int) -> bool:
            return len(os.listdir(sockets)) == number

        change = self._during(
            "rm app*[02468].example.ini", lambda: are_there(len(self.domains) - len(half))
        )
        self._write(half)
        eventually(lambda: are_there(len(self.domains)), seconds=_PATIENCE_SECONDS)
        return change

    def reload(self) -> Change:
        """Send SIGHUP, with another setting that holds for each of the apps."""
        self._config.write_text(f"[emperord]\nstart-timeout = {next(self._timeouts)}\n")
        return self.reload_as_it_is()

    def reload_as_it_is(self) -> Change:
        """Send SIGHUP, where nothing has changed."""
        return self._until_ready(f"kill -HUP {self._process.pid}")

    def reload_with_changed_inis(self) -> Change:
        """Touch some of the inis, and send SIGHUP at once."""
        inis = " ".join(f"{domain}.ini" for domain in self.domains[:_CHANGED])
        return self._until_ready(f"touch {inis}; kill -HUP {self._process.pid}")

    def _until_ready(self, command: str) -> Change:
        ready = self._ready
        return self._during(command, lambda: self._ready > ready)

    def wake(self) -> Change:
        """Wake some apps, a few at once, and put them to sleep again."""
        chosen = self.domains[:: len(self.domains) // _WAKES][:_WAKES]
        with probing(self._daemon.run_dir, self.domains[1]) as waits:
            begun = time.perf_counter()
            with ThreadPoolExecutor(_AT_ONCE) as threads:
                list(threads.map(self._wake_one, chosen))
            took = time.perf_counter() - begun
        return Change(took, waits.control, waits.health)

    def cold_start(self, number: int) -> float:
        """Seconds from connect() on the listener of an app to the first byte of its answer."""
        domain = self.domains[number]
        return uwsgi_first_byte(self._daemon.sockets / domain / "socket", domain)

    def _wake_one(self, domain: str) -> None:
        connection = UnixConnection(self._daemon.run_dir / "activate.sock")
        connection.request("GET", "/", headers={"X-Domain": domain})
        reply = connection.getresponse()
        connection.close()
        if reply.status != 200:
            raise ConnectionError(f"cannot wake {domain}: {reply.status}")
        self._daemon.call("POST", f"/v1/vassals/{domain}/sleep")

    def _during(self, command: str, is_done: Callable[[], bool]) -> Change:
        with probing(self._daemon.run_dir, self.domains[1]) as waits:
            begun = time.perf_counter()
            subprocess.run(["/bin/sh", "-c", command], cwd=self._daemon.vassals, check=True)
            eventually(is_done, alive=[self._process], seconds=_PATIENCE_SECONDS)
            took = time.perf_counter() - begun
        return Change(took, waits.control, waits.health)

    def _write(self, domains: Sequence[str]) -> None:
        for domain in domains:
            self._daemon.drop(domain, self._daemon.ini(domain, str(self._app)))

    @property
    def pid(self) -> int:
        """The pid of the daemon."""
        return self._process.pid

    @property
    def _lines(self) -> int:
        return self._daemon.log.read_bytes().count(b"its ini changed")

    @property
    def _ready(self) -> int:
        return self._store.told.count("READY=1")

    def _end(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(_PATIENCE_SECONDS)


def many(bench: Bench) -> Iterator[Row]:
    """Measure bulk changes of the inis, an upgrade after which all are read again, and wakes."""
    with place(DISK) as folder, ExitStack() as stack:
        crowd = Crowd(folder, stack, _SIZE)
        for name, measure, limit in (
            ("touch of all", crowd.touch, None),
            ("rm of half", crowd.remove, None),
            ("HUP with another setting", crowd.reload, _LONGEST_UPGRADE),
            ("HUP with nothing changed", crowd.reload_as_it_is, None),
            (f"HUP with {_CHANGED:,} inis changed", crowd.reload_with_changed_inis, None),
        ):
            what = f"{_SIZE:,} parked, {name}"
            changes = bench.paired(what, {"ours": measure}, _ROUNDS)["ours"]
            yield row(f"{what}: done", "s", {"ours": [each.seconds for each in changes]}, limit)
            yield from _waits(what, changes)
    yield from _wakes(bench)
    yield _cold_start(bench)


def _wakes(bench: Bench) -> Iterator[Row]:
    what = f"{_SIZE:,} parked, wakes with a stub for uWSGI"
    with place(DISK) as folder, ExitStack() as stack:
        stub = folder / "uwsgi"
        stub.write_text(_STUB)
        stub.chmod(0o755)
        crowd = Crowd(folder, stack, _SIZE, uwsgi_binary=str(stub), max_starting=str(_AT_ONCE))
        changes = bench.paired(what, {"ours": crowd.wake}, _ROUNDS)["ours"]
    yield row(f"{what}: each second", "/s", {"ours": [_WAKES / each.seconds for each in changes]})
    yield from _waits(what, changes)


def _cold_start(bench: Bench) -> Row:
    """Compare starts of the same app in two folders of inis, one in each round."""
    with place(DISK) as folder, ExitStack() as stack:
        app = copy_apps(folder)["trivial"]
        sides = {}
        for name, size in (("crowded", _SIZE), ("small", _SMALL)):
            (folder / name).mkdir(mode=0o755)
            crowd, numbers = Crowd(folder / name, stack, size, app), count()
            sides[name] = lambda crowd=crowd, numbers=numbers: crowd.cold_start(next(numbers))
        what = f"cold start in a folder of {_SIZE:,} inis, over one of {_SMALL}"
        starts = bench.paired(what, sides, ROUNDS)
    more = [many - few for many, few in zip(starts["crowded"], starts["small"], strict=True)]
    return row(what, "ms", {"ours": more}, _MOST_FOR_THE_FOLDER)


def _waits(what: str, changes: Sequence[Change]) -> Iterator[Row]:
    for name, waits in (
        ("control.sock", [change.control for change in changes]),
        ("the health answer", [change.health for change in changes]),
    ):
        longest = {"ours": [max(waits)] * len(waits)}
        yield row(f"{what}: longest wait for {name}", "s", longest, _LONGEST_WAIT)
