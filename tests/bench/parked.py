"""Thousands of sleeping apps: how long their daemon takes to start, and what it needs at rest."""

import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from docs.figures import Limit
from tests.backend import Daemon
from tests.bench.apps import ini
from tests.bench.cpu import cpu_seconds
from tests.bench.place import DISK, TMPFS, place, running
from tests.bench.report import Row, row
from tests.bench.rivals import Incumbent
from tests.bench.rounds import ROUNDS, Bench
from tests.eventually import eventually

_SIZES = (1_000, 10_000)
_APP = Path("/srv/app/application.py")
_REST_SECONDS = 10.0
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Start:
    """The seconds from exec until all sockets listen, and the bytes of resident memory then."""

    seconds: float
    rss: int


@dataclass(frozen=True, slots=True)
class Rest:
    """The CPU time and the wake-ups of a daemon without requests."""

    cpu_seconds: float
    wakes: int


class OurStart:
    """Starts emperord on a folder of inis. READY=1 says that all sockets listen."""

    def __init__(self, folder: Path, size: int) -> None:
        self._daemon = Daemon(folder)
        for domain in _domains(size):
            path = self._daemon.vassals / f"{domain}.ini"
            path.write_text(self._daemon.ini(domain, str(_APP)))

    def __call__(self, stack: ExitStack) -> tuple[Start, psutil.Process]:
        """Start it; `stack` ends it."""
        took, process = ready(self._daemon, stack)
        return Start(took, process.memory_info().rss), process


def ready(daemon: Daemon, stack: ExitStack) -> tuple[float, psutil.Process]:
    """Start a daemon, which `stack` ends. Returns the seconds until all its sockets listen."""
    address = daemon.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.settimeout(_PATIENCE_SECONDS)
        notified.bind(str(address))
        try:
            env = os.environ | {"NOTIFY_SOCKET": str(address)}
            begun = time.perf_counter()
            command = running(daemon.command, daemon.log, env)
            process = psutil.Process(stack.enter_context(command).pid)
            while b"READY=1" not in notified.recv(4096):
                pass
            took = time.perf_counter() - begun
        finally:
            address.unlink()
    return took, process


class TheirStart:
    """Starts uWSGI's Emperor, which reads its inis in the order of readdir(3)."""

    def __init__(self, folder: Path, size: int) -> None:
        self._incumbent = Incumbent(folder)
        for domain in _domains(size):
            (self._incumbent.vassals / f"{domain}.ini").write_text(ini(_APP))
        inis = os.listdir(self._incumbent.vassals)
        self._last = self._incumbent.listener(inis[-1].removesuffix(".ini")) if inis else None

    def __call__(self, stack: ExitStack) -> tuple[Start, psutil.Process]:
        """Start it; `stack` ends it."""
        for left in self._incumbent.sockets.iterdir():
            left.unlink()
        begun = time.perf_counter()
        command = running(self._incumbent.command, self._incumbent.log)
        process = psutil.Process(stack.enter_context(command).pid)
        if self._last is None:
            time.sleep(0.2)
        else:
            eventually(self._last.exists, seconds=_PATIENCE_SECONDS)
        took = time.perf_counter() - begun
        return Start(took, process.memory_info().rss), process


Starter = Callable[[ExitStack], tuple[Start, psutil.Process]]


def parked(bench: Bench) -> Iterator[Row]:
    """Measure start, memory and rest, with the inis on a disk and on tmpfs."""
    for where, parent in {"disk": DISK, "tmpfs": TMPFS}.items():
        with place(parent) as folder:
            nothing = _starters(folder / "none", 0)
            floor = bench.paired(f"0 parked, {where}", _starts(nothing), 5)
        for size in _SIZES:
            with place(parent) as folder:
                sides = _starters(folder / "some", size)
                what = f"{size:,} parked, {where}"
                starts = bench.paired(what, _starts(sides), ROUNDS, "Emperor")
                longest, most = (Limit(1.5), Limit(1.5)) if size == max(_SIZES) else (None, None)
                seconds = {name: [s.seconds for s in each] for name, each in starts.items()}
                yield row(f"{what}: exec → all listen", "s", seconds, longest)
                each = {name: _each(starts[name], floor[name], size) for name in starts}
                yield row(f"{what}: resident memory of each", "KB", each, most)
                if parent is DISK:
                    yield from _rest(bench, what, sides)


def _domains(size: int) -> list[str]:
    return [f"app{number:05}.example" for number in range(size)]


def _starters(folder: Path, size: int) -> dict[str, Starter]:
    folder.mkdir()
    folder.chmod(0o755)
    return {"ours": OurStart(folder, size), "Emperor": TheirStart(folder, size)}


def _starts(sides: dict[str, Starter]) -> dict[str, Callable[[], Start]]:
    return {name: partial(_alone, start) for name, start in sides.items()}


def _alone(start: Starter) -> Start:
    with ExitStack() as stack:
        return start(stack)[0]


def _each(starts: Sequence[Start], floor: Sequence[Start], size: int) -> list[float]:
    bare = min(start.rss for start in floor)
    return [(start.rss - bare) / size for start in starts]


def _rest(bench: Bench, what: str, sides: dict[str, Starter]) -> Iterator[Row]:
    bench.tell(f"{what}, at rest")
    with ExitStack() as stack:
        processes = {name: start(stack)[1] for name, start in sides.items()}
        time.sleep(2.0)
        before = {name: _spent(process) for name, process in processes.items()}
        time.sleep(_REST_SECONDS)
        rests = {name: _since(before[name], _spent(each)) for name, each in processes.items()}
    cpu = {name: [rest.cpu_seconds] for name, rest in rests.items()}
    wakes = {name: [float(rest.wakes)] for name, rest in rests.items()}
    yield row(f"{what}: CPU in {_REST_SECONDS:g} s at rest", "ms", cpu)
    yield row(f"{what}: wake-ups in {_REST_SECONDS:g} s at rest", "", wakes, Limit(0))


def _spent(process: psutil.Process) -> Rest:
    return Rest(cpu_seconds(process), process.num_ctx_switches().voluntary)


def _since(before: Rest, after: Rest) -> Rest:
    return Rest(after.cpu_seconds - before.cpu_seconds, after.wakes - before.wakes)
