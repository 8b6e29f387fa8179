"""A reload of an app that gets 50 requests per second."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from docs.figures import Limit
from tests.bench.apps import copy_apps, ini
from tests.bench.knock import http_first_byte
from tests.bench.load import Client, load
from tests.bench.ours import Ours
from tests.bench.place import place
from tests.bench.report import Row, row
from tests.bench.rivals import Incumbent, PlainNginx
from tests.bench.rounds import Bench

_PER_SECOND = 50
_REQUESTS = 150
_TOUCHED_AFTER_SECONDS = 1.0
_DOMAIN = "flask.localhost"


@dataclass(frozen=True, slots=True)
class Reloaded:
    """The number of answers other than 200, and the seconds by which the slowest answer exceeds the
    usual time."""

    failed: int
    stall: float


def reload(bench: Bench) -> Iterator[Row]:
    """Touch the ini of the Flask app, which takes some time to boot."""
    with place() as folder, Ours(folder) as ours:
        app = copy_apps(folder)["Flask"]
        ours.add(_DOMAIN, str(app))
        incumbent = Incumbent(folder)
        incumbent.drop(_DOMAIN, ini(app))
        with incumbent, PlainNginx(folder, incumbent.sockets) as plain:
            incumbent.until_listening(_DOMAIN)
            sides = {
                "ours": _reloader(ours.port, ours.vassals),
                "Emperor": _reloader(plain.port, incumbent.vassals),
            }
            what = f"reload under {_PER_SECOND} requests/s"
            seen = bench.paired(what, sides, seldom="Emperor")
    failed = {name: [float(max(r.failed for r in each))] * len(each) for name, each in seen.items()}
    stalls = {name: [r.stall for r in each] for name, each in seen.items()}
    worst = {name: [max(each)] * len(each) for name, each in stalls.items()}
    yield row(f"{what}: failed, at worst", "", failed, Limit(0))
    yield row(f"{what}: slowest over the usual", "ms", stalls, Limit(50.0))
    yield row(f"{what}: the same, at worst", "ms", worst)


def _reloader(port: int, vassals: Path) -> Callable[[], Reloaded]:
    def touch() -> None:
        time.sleep(_TOUCHED_AFTER_SECONDS)
        os.utime(vassals / f"{_DOMAIN}.ini")

    def reload() -> Reloaded:
        http_first_byte(port, _DOMAIN)
        answers = load(port, _DOMAIN, Client(_REQUESTS, 1 / _PER_SECOND), touch)
        before = [a.seconds for a in answers if a.sent < _TOUCHED_AFTER_SECONDS]
        after = [a.seconds for a in answers if a.sent >= _TOUCHED_AFTER_SECONDS]
        failed = sum(answer.status != 200 for answer in answers)
        return Reloaded(failed, max(after) - median(before))

    return reload
