"""10,000 sleeping apps: the time until their daemon is back after a kill or an upgrade."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from docs.figures import Limit
from tests.backend import Daemon
from tests.bench.place import DISK, place
from tests.bench.report import Row, row
from tests.bench.rounds import Bench
from tests.eventually import eventually
from tests.fdstore import FdStore
from tests.systemd.installation import install, with_emperord
from tests.systemd.service import crash

_SIZE = 10_000
_APP = Path("/srv/app/application.py")
_PATIENCE_SECONDS = 60.0


class RestartableDaemon:
    """emperord with many inis, and a store that keeps its descriptors."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._store = stack.enter_context(FdStore(folder / "notify"))
        self._daemon = Daemon(folder)
        for number in range(_SIZE):
            domain = f"app{number:05}.example"
            (self._daemon.vassals / f"{domain}.ini").write_text(self._daemon.ini(domain, str(_APP)))
        self._log = stack.enter_context(self._daemon.log.open("ab"))
        self._process = self._launch()
        self._until_ready(1)
        stack.callback(self._end)

    def kill(self) -> float:
        """Seconds from `kill -9` until the next daemon has taken over."""
        begun, count = time.perf_counter(), self._ready
        self._process.kill()
        self._process.wait()
        self._process = self._launch()
        return self._until_ready(count + 1) - begun

    def upgrade(self) -> float:
        """Seconds from SIGHUP until the new daemon has taken over."""
        begun, count = time.perf_counter(), self._ready
        self._process.send_signal(signal.SIGHUP)
        return self._until_ready(count + 1) - begun

    def _launch(self) -> "subprocess.Popen[bytes]":
        return self._store.start(self._daemon.command, self._log)

    @property
    def _ready(self) -> int:
        return self._store.told.count("READY=1")

    def _until_ready(self, count: int) -> float:
        eventually(lambda: self._ready >= count, alive=[self._process], seconds=_PATIENCE_SECONDS)
        return time.perf_counter()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()


# Runs within the box: writes the inis.
_DROP = f"""
for number in range({_SIZE}):
    with open(f"/etc/uwsgi/vassals/app{{number:05}}.example.ini", "w") as ini:
        ini.write("[uwsgi]\\nfile = {_APP}\\n[emperor]\\nallow-root = true\\n")
"""


def _under_systemd(bench: Bench) -> Row:
    """Measure by systemd's own times: from the failure of the service until it is ready again."""
    what = f"{_SIZE:,} parked, under systemd: kill -9 → all taken over"
    bench.tell(f"{what}, to install")
    with place(DISK) as folder:
        install(folder / "installed")
        with with_emperord(folder / "installed") as box:
            box.must("/usr/bin/python3", "-c", _DROP)
            box.must("systemctl", "start", "emperord")
            return row(what, "s", bench.paired(what, {"ours": lambda: crash(box)}), Limit(1.0))


def survival(bench: Bench) -> Iterator[Row]:
    """Measure how long no daemon can wake an app."""
    with place(DISK) as folder, ExitStack() as stack:
        daemon = RestartableDaemon(folder, stack)
        ways: dict[str, tuple[Callable[[], float], Limit | None]] = {
            f"{_SIZE:,} parked: kill -9 → all taken over": (daemon.kill, Limit(1.0)),
            f"{_SIZE:,} parked: upgrade → all taken over": (daemon.upgrade, None),
        }
        for what, (measure, limit) in ways.items():
            results = bench.paired(what, {"ours": measure})
            yield row(what, "s", results, limit)
    yield _under_systemd(bench)
