"""What apps gain together that are forked from one base: the memory of many that run, and the wait
when many start at the same moment."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psutil

from docs.figures import Limit
from tests.backend import with_state
from tests.bench.apps import FRAMEWORKS, copy_apps
from tests.bench.knock import uwsgi_first_byte
from tests.bench.ours import Ours
from tests.bench.place import place
from tests.bench.report import Row, row
from tests.bench.rounds import Bench

_USER = "nobody"
_RUNNING, _AT_ONCE = 50, 60
_ROUNDS = 3
_WORKERS = 4
_BY_EXEC = "by exec"


class Crowd:
    """Apps of one user and one virtual environment, all of which sleep. `bases` is the setting of
    emperord; with them the base of the virtual environment is there."""

    def __init__(self, folder: Path, app: str, size: int, bases: str) -> None:
        folder.mkdir(mode=0o755)
        self.ours = Ours(folder, bases=bases)
        self.ours.under = with_state(folder)
        self.domains = [f"{FRAMEWORKS[app]}{number}.localhost" for number in range(size)]
        path = copy_apps(folder)[app]
        for domain in self.domains:
            text = self.ours.ini(domain, str(path))
            self.ours.drop(domain, f"{text}[emperor]\nuid = {_USER}\n")
        self._has_bases = bases == "auto"

    def begin(self, stack: ExitStack) -> None:
        """Start emperord, and have it make its bases."""
        stack.enter_context(self.ours)
        for domain in self.domains[:2] if self._has_bases else ():
            uwsgi_first_byte(self.ours.listener(domain), domain)
        if self._has_bases:
            self.ours.until_base_of(_USER)
        self.sleep()

    def wake(self, at_once: int) -> float:
        """A request to each, so many at a time. Returns the seconds until the last answer."""
        begun = time.perf_counter()
        with ThreadPoolExecutor(at_once) as visitors:
            list(
                visitors.map(
                    lambda each: uwsgi_first_byte(self.ours.listener(each), each), self.domains
                )
            )
        return time.perf_counter() - begun

    def sleep(self) -> None:
        """Put all to sleep."""
        with ThreadPoolExecutor(len(self.domains)) as operators:
            list(operators.map(self.ours.park, self.domains))

    def memory(self) -> int:
        """The proportional set size of all apps and bases, in bytes."""
        processes = psutil.Process(self.ours.process.pid).children(recursive=True)
        return sum(process.memory_full_info().pss for process in processes)


def shared(bench: Bench) -> Iterator[Row]:
    """Compare forks of one base with apps that start by exec."""
    with place() as folder, ExitStack() as stack:
        sides = {"ours": "auto", _BY_EXEC: "off"}
        crowds = {side: Crowd(folder / side.replace(" ", "-"), "Django", _RUNNING, bases)
                  for side, bases in sides.items()}  # fmt: skip
        for crowd in crowds.values():
            crowd.begin(stack)

        def running(crowd: Crowd) -> float:
            crowd.wake(_WORKERS)
            taken = crowd.memory()
            crowd.sleep()
            return taken

        what = f"{_RUNNING} running Django apps: PSS with bases"
        measured = {side: (lambda crowd=crowd: running(crowd)) for side, crowd in crowds.items()}
        yield row(what, "MB", bench.paired(what, measured, _ROUNDS), Limit(0.5, over=_BY_EXEC))
    with place() as folder, ExitStack() as stack:
        crowds = {side: Crowd(folder / side.replace(" ", "-"), "Flask", _AT_ONCE, bases)
                  for side, bases in sides.items()}  # fmt: skip
        for crowd in crowds.values():
            crowd.begin(stack)

        def herd(crowd: Crowd) -> float:
            took = crowd.wake(_AT_ONCE)
            crowd.sleep()
            return took

        what = f"{_AT_ONCE} cold Flask apps at once: the last answer, with bases"
        measured = {side: (lambda crowd=crowd: herd(crowd)) for side, crowd in crowds.items()}
        yield row(what, "ms", bench.paired(what, measured, _ROUNDS), Limit(0.4, over=_BY_EXEC))
