"""Sixty sleeping apps get a request at the same moment, and only a few may boot at a time."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from pathlib import Path

from docs.figures import Limit
from tests.bench.apps import FRAMEWORKS, copy_apps
from tests.bench.knock import http_first_byte
from tests.bench.ours import Ours
from tests.bench.place import place
from tests.bench.report import Row, row
from tests.bench.rivals import Bare, PlainNginx
from tests.bench.rounds import Bench

_SIZE = 60
_ROUNDS = 5
# emperord gets new apps in each round (the first round is to warm up). The apps of the plain queue
# are started again.
_OURS = range((_ROUNDS + 1) * _SIZE)
_QUEUES = range(_OURS.stop, _OURS.stop + _SIZE)
# emperord's default limit.
_AT_ONCE = 2 * len(os.sched_getaffinity(0))


def boot_queue(bench: Bench) -> Iterator[Row]:
    """Measure how long the last visitor waits. The rival is a simple queue: it takes the requests
    in their order, and boots as many apps at a time with the same command."""
    with place() as folder, ExitStack() as stack:
        apps = copy_apps(folder)
        ours, plain = Ours(folder), PlainNginx(folder, folder / "bare")
        for app in FRAMEWORKS:
            for domain in [*_domains(app, _OURS), *_domains(app, _QUEUES)]:
                ours.drop(domain, ours.ini(domain, str(apps[app])))
        stack.enter_context(ours)
        stack.enter_context(plain)
        for app in FRAMEWORKS:
            what = f"{_SIZE} cold apps at once, {app}: the last answer"
            sides = {"ours": _ours(ours, app), "plain queue": _queue(folder, ours, plain, app)}
            results = bench.paired(what, sides, _ROUNDS)
            yield row(what, "s", results, Limit(1.05, over="plain queue"))


def _domains(app: str, numbers: range) -> list[str]:
    return [f"{FRAMEWORKS[app]}{number}.localhost" for number in numbers]


def _ours(ours: Ours, app: str) -> Callable[[], float]:
    rounds = count()

    def measure() -> float:
        first = next(rounds) * _SIZE
        domains = _domains(app, _OURS[first : first + _SIZE])
        took = _all(domains, _SIZE, lambda domain: http_first_byte(ours.port, domain))
        for domain in domains:
            (ours.vassals / f"{domain}.ini").unlink()
        for domain in domains:
            ours.until(domain, None)
        return took

    return measure


def _queue(folder: Path, ours: Ours, plain: PlainNginx, app: str) -> Callable[[], float]:
    def measure() -> float:
        domains = _domains(app, _QUEUES)
        with ExitStack() as stack:
            bare = {
                domain: stack.enter_context(
                    Bare(ours.vassals / f"{domain}.ini", folder / "bare" / f"{domain}.socket")
                )
                for domain in domains
            }

            def boot(domain: str) -> float:
                return http_first_byte(plain.port, domain, bare[domain].start)

            return _all(domains, _AT_ONCE, boot)

    return measure


def _all(domains: list[str], at_once: int, ask: Callable[[str], float]) -> float:
    """Ask for all domains, `at_once` at a time. Returns the seconds until the last answer."""
    with ThreadPoolExecutor(at_once) as clients:
        begun = time.perf_counter()
        list(clients.map(ask, domains))
        return time.perf_counter() - begun
