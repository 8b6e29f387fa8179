"""A backend under load that is struck by faults, and the account of every request to it."""

import os
import shutil
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.backend import APPS, Backend, with_state
from tests.controllers import expected_at_a_start
from tests.eventually import eventually
from tests.faults.apps import KINDS, SHARED, questions
from tests.faults.clock import Clock
from tests.faults.disks import disk, memory
from tests.faults.outcome import Outcome, outcome_of
from tests.faults.visitors import Visitors
from tests.fdstore import FdStore
from tests.fleet.client import Visit
from tests.fleet.logs import Log
from tests.fleet.traffic import Flow
from tests.launcher import LAUNCHER, Launcher
from tests.nginx_server import Nginx
from tests.virtualenv import add_package, make_virtualenv

_A_SECOND = 60
_SHARED_APP = "shared.py"
# The daemon's, for a base of a virtual environment and its two spares.
_FDS_OF_A_BASE = 6


@dataclass(frozen=True, slots=True)
class Spell:
    """A time in which requests may have these outcomes too, in monotonic seconds."""

    start: float
    end: float
    allows: frozenset[Outcome]


@dataclass(slots=True)
class Site:
    """The backend, its visitors, and the spells in which faults struck."""

    backend: Backend
    client: Visitors
    traffic: Flow
    runs: Path
    log: Log
    clock: Clock
    spells: list[Spell] = field(default_factory=list)
    take_overs: int = 0

    # Which processes there are. The kernel is asked: the daemon may be stopped.

    @property
    def daemon(self) -> psutil.Process:
        return psutil.Process(self.backend.process.pid)

    def masters(self) -> list[psutil.Process]:
        """Every uWSGI that this daemon, or one before it, has started, in the order of their pids:
        those of an earlier one are no children of this one."""
        return [process for process in psutil.process_iter() if self._is_master(process)]

    def _is_master(self, process: psutil.Process) -> bool:
        try:
            leads = process.name() == "uwsgi" and os.getsid(process.pid) == process.pid
            return leads and process.cwd().startswith(str(self.backend.folder))
        except (psutil.Error, ProcessLookupError):
            return False

    def workers(self) -> list[psutil.Process]:
        """Every worker."""
        found: list[psutil.Process] = []
        for master in self.masters():
            with suppress(psutil.NoSuchProcess):
                found += master.children()
        return sorted(found, key=lambda process: process.pid)

    def nginx_workers(self) -> list[psutil.Process]:
        """Every worker of nginx."""
        children = psutil.Process().children()
        return [
            worker for child in children if child.name() == "nginx" for worker in child.children()
        ]

    def bases(self) -> list[psutil.Process]:
        """The bases that can fork."""
        return [psutil.Process(base["pid"]) for base in bases_of(self.backend)]

    # What happens.

    @contextmanager
    def spell(self, allows: frozenset[Outcome]) -> Iterator[None]:
        """Requests under way before every app is well again may have these outcomes too."""
        start = time.monotonic()
        yield
        mended = time.monotonic()
        eventually(lambda: self._is_well_since(mended), what="each app answers again")
        self.spells.append(Spell(start, time.monotonic(), allows))

    def _is_well_since(self, then: float) -> bool:
        """Whether each app has answered somebody who came after that."""
        since = [visit for visit in self.traffic.visits if visit.sent > then]
        unwell = KINDS.keys() - {visit.question.domain for visit in since if not visit.failed}
        assert not unwell, [visit for visit in since if visit.question.domain in unwell][-3:]
        return True

    def expect_upgrade(self) -> None:
        """Another daemon is about to take over."""
        self.take_overs = len(self._taken_over()) + 1

    def until_upgraded(self) -> None:
        """Wait until the last upgrade is over: it cuts off whoever asks the daemon meanwhile."""
        eventually(lambda: len(self._taken_over()) >= self.take_overs, what="the upgrade is over")

    def _taken_over(self) -> list[str]:
        return self.backend.lines("took over ")

    # What has to be true.

    def check_processes(self) -> None:
        """Fails when the daemon keeps reporting a process that is not there, or keeps quiet about
        one that is. Processes start and end meanwhile."""
        disputed = self._disputed()

        def agree() -> bool:
            disputed.intersection_update(self._disputed())
            assert not disputed, disputed
            return True

        eventually(agree, what="the status agrees with the processes")

    def _disputed(self) -> set[int]:
        return self._told() ^ {process.pid for process in self.masters()}

    def _told(self) -> set[int]:
        _, answer = self.backend.call("GET", "/v1/status")
        found = set()
        for vassal in answer["vassals"]:
            _, detail = self.backend.call("GET", f"/v1/vassals/{vassal['name']}")
            if detail:
                found |= {detail["status"]["pid"], detail["predecessor_pid"]}
        return found - {None}

    def check_log(self) -> None:
        """Fails if the daemon has logged a warning that was not announced."""
        assert not (lines := self.log.unexpected()), "\n".join(lines)
        self.log.turn_over()

    def check_account(self) -> None:
        """Fails unless the spells allow the outcome of each request."""
        notes = "".join(path.read_text() for path in self.runs.iterdir())
        runs = Counter(line.split()[1] for line in notes.splitlines())
        found: Counter[Outcome] = Counter()
        wrong = []
        for visit in self.traffic.visits:
            outcome = outcome_of(visit, runs[visit.id])
            found[outcome] += 1
            if outcome is not Outcome.ANSWERED and outcome not in self._allowed(visit):
                wrong.append(f"{outcome.name}, ran {runs[visit.id]} times: {visit}")
        print(", ".join(f"{number} {outcome.name}" for outcome, number in found.items()))
        assert not wrong, "\n".join(wrong)

    def _allowed(self, visit: Visit) -> set[Outcome]:
        under = [s.allows for s in self.spells if visit.was_under_way(s.start, s.end)]
        return set().union(*under)


def socket_unit(path: Path) -> socket.socket:
    """The socket on which systemd lets nginx wait for the daemon (systemd/emperord.socket)."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    shutil.chown(path, group="www-data")
    path.chmod(0o660)
    listener.listen(4096)
    return listener


@contextmanager
def standing(folder: Path) -> Iterator[Site]:
    """Put a site up, and take it down. Fails if it leaves anything behind."""
    with ExitStack() as stack:
        for name in ("sockets", "run"):
            stack.enter_context(memory(folder / name, "size=256k,nr_inodes=500,mode=755"))
        stack.enter_context(disk(folder / "logs", folder / "disk", 2 << 20))
        nginx = stack.enter_context(Nginx(folder))
        backend = Backend(folder, nginx, throttle_first="0.2", throttle_max="1", stop_timeout="10")
        clock = Clock(folder)
        backend.under = [*clock.under, *with_state(folder)]
        store = stack.enter_context(FdStore(folder / "notify"))
        backend.launch = store.start
        door = stack.enter_context(socket_unit(backend.run_dir / "activate.sock"))
        store.keep("activate.sock", door.fileno())
        stack.enter_context(backend)
        # As a stop of the service does.
        stack.callback((backend.run_dir / "activate.sock").unlink)
        runs = folder / "runs"
        runs.mkdir()
        runs.chmod(0o1777)
        _make_shared(folder)
        for domain, kind in KINDS.items():
            backend.drop(domain, ini_of(backend, runs, domain, kind))
        for domain in KINDS:
            backend.until(domain, "parked")
        at_rest = backend.fds
        _wait_for_base(backend)
        client = stack.enter_context(Visitors())
        traffic = Flow(client, questions(f"127.0.0.1:{nginx.port}"), _A_SECOND)
        log = Log(backend.log, [" INFO ", *expected_at_a_start()])
        yield Site(backend, client, traffic, runs, log, clock)
        with ThreadPoolExecutor() as operators:
            for domain in KINDS:
                operators.submit(backend.call, "POST", f"/v1/vassals/{domain}/sleep")
        eventually(lambda: _is_at_rest(backend, at_rest), what="all is at rest")


def ini_of(backend: Backend, runs: Path, domain: str, kind: str) -> str:
    """The ini of an app that notes its runs."""
    options = {"env": f"RUNS={runs / domain}"}
    if domain not in SHARED:
        return backend.ini(domain, **options) + kind
    options["virtualenv"] = str(backend.folder / "venv")
    return backend.ini(domain, str(backend.folder / _SHARED_APP), **options) + kind


def bases_of(backend: Backend) -> list[dict[str, Any]]:
    """The bases that can fork."""
    _, answer = backend.call("GET", "/v1/bases")
    found: list[dict[str, Any]] = answer["bases"]
    return found


def _make_shared(folder: Path) -> None:
    """What the apps of SHARED have in common."""
    add_package(make_virtualenv(folder / "venv"), "extra", "")
    (folder / _SHARED_APP).write_text("import extra\n" + (APPS / "plain.py").read_text())


def _wait_for_base(backend: Backend) -> None:
    """Wait until the virtual environment has a base, in a run that has bases."""
    for domain in SHARED:
        assert backend.get(domain).status == 200
    if LAUNCHER is not Launcher.OFF:
        eventually(lambda: _of_homes(backend), what="the shared apps have a base")


def _of_homes(backend: Backend) -> list[dict[str, Any]]:
    return [base for base in bases_of(backend) if base["home"]]


def _is_at_rest(backend: Backend, fds: int) -> bool:
    of_bases = _FDS_OF_A_BASE * len(_of_homes(backend))
    assert (backend.fds - of_bases, backend.children()) == (fds, [])
    return True


def send(number: signal.Signals, processes: Iterable[psutil.Process]) -> None:
    """Signal those that are still there."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


@contextmanager
def stopped(processes: Iterable[psutil.Process]) -> Iterator[None]:
    """Stop processes until the end of the block."""
    victims = list(processes)
    send(signal.SIGSTOP, victims)
    try:
        yield
    finally:
        send(signal.SIGCONT, victims)
