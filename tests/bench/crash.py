"""An app that cannot be imported: the answers to its visitors, and the time until a mended ini is
served."""

import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from statistics import median

from docs.figures import Limit
from tests.bench.apps import BROKEN, copy_apps, ini
from tests.bench.knock import http_first_byte
from tests.bench.load import Answer, Client, load
from tests.bench.ours import Ours
from tests.bench.place import place
from tests.bench.report import Row, row
from tests.bench.rivals import Incumbent, PlainNginx
from tests.bench.rounds import Bench
from tests.http_client import Request, ask

_REQUESTS = 100
_EVERY_SECONDS = 0.05
_HUNG_SECONDS = 1.0
# nginx's answers for an app that refuses, resets or does not answer. 0 is no answer at all.
_NO_ANSWER = frozenset({0, 502, 504})
_BROKEN_SECONDS = 1.0
_PATIENCE_SECONDS = 60.0


def crash(bench: Bench) -> Iterator[Row]:
    """Measure while the app crashes, and after a mended ini was moved in."""
    with place() as folder, Ours(folder) as ours, Incumbent(folder) as incumbent:
        good = copy_apps(folder)["Flask"]
        with PlainNginx(folder, incumbent.sockets) as plain:
            yield from _answers(bench, ours, incumbent, plain)
            sides = {
                "ours": _mender(folder, ours, good),
                "Emperor": _their_mender(incumbent, plain.port, good),
            }
            what = "mended ini → first 200, over the app's boot"
            yield row(what, "ms", bench.paired(what, sides, seldom="Emperor"), Limit(100.0))


def _answers(bench: Bench, ours: Ours, incumbent: Incumbent, plain: PlainNginx) -> Iterator[Row]:
    domain = "broken.localhost"
    ours.add(domain, str(BROKEN))
    incumbent.drop(domain, ini(BROKEN))
    incumbent.until_listening(domain)
    what = "an app that crashes at import"
    sides = {
        "ours": lambda: load(ours.port, domain, Client(_REQUESTS, _EVERY_SECONDS)),
        "Emperor": lambda: load(plain.port, domain, Client(_REQUESTS, _EVERY_SECONDS)),
    }
    seen = bench.paired(what, sides, 3)
    seconds = {name: [a.seconds for each in loads for a in each] for name, loads in seen.items()}
    lost = {name: [float(max(map(_lost, loads)))] * 3 for name, loads in seen.items()}
    yield row(f"{what}: an answer", "ms", seconds, Limit(10.0))
    yield row(f"{what}: refused or hung of {_REQUESTS}, at worst", "", lost, Limit(0))


def _lost(answers: list[Answer]) -> int:
    return sum(a.status in _NO_ANSWER or a.seconds > _HUNG_SECONDS for a in answers)


def _mender(folder: Path, ours: Ours, good: Path) -> Callable[[], float]:
    numbers = count()

    def mend() -> float:
        domain = f"mended{next(numbers)}.localhost"
        ours.add(domain, str(BROKEN))
        _knock_for(ours.port, domain, _BROKEN_SECONDS)
        draft = folder / "draft"
        draft.write_text(ours.ini(domain, str(good)))
        begun = time.perf_counter()
        draft.rename(ours.vassals / f"{domain}.ini")
        took = _until_served(ours.port, domain, begun)
        ours.park(domain)
        return took - http_first_byte(ours.port, domain)

    return mend


def _their_mender(incumbent: Incumbent, port: int, good: Path) -> Callable[[], float]:
    numbers = count()
    boots: list[float] = []

    def mend() -> float:
        domain = f"mended{next(numbers)}.localhost"
        incumbent.drop(domain, ini(BROKEN))
        incumbent.until_listening(domain)
        _knock_for(port, domain, _BROKEN_SECONDS)
        begun = time.perf_counter()
        incumbent.drop(domain, ini(good))
        took = _until_served(port, domain, begun)
        incumbent.drop(f"cold-{domain}", ini(good))
        incumbent.until_listening(f"cold-{domain}")
        boots.append(http_first_byte(port, f"cold-{domain}"))
        return took - median(boots)

    return mend


def _knock_for(port: int, domain: str, seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        ask(port, Request(domain))
        time.sleep(0.05)


def _until_served(port: int, domain: str, begun: float) -> float:
    while ask(port, Request(domain)).status != 200:
        if time.perf_counter() - begun > _PATIENCE_SECONDS:
            return _PATIENCE_SECONDS
        time.sleep(0.002)
    return time.perf_counter() - begun
