"""A request that arrives while its app, idle for long enough, is being stopped."""

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count

from docs.figures import Limit
from tests.backend import UnixConnection
from tests.bench.apps import copy_apps, ini
from tests.bench.knock import http_first_byte
from tests.bench.ours import Ours
from tests.bench.place import place
from tests.bench.report import Row, row
from tests.bench.rivals import Incumbent, PlainNginx
from tests.bench.rounds import ROUNDS, Bench
from tests.eventually import eventually

_DOMAIN = "ours.localhost"
# A hit comes within this time after the stop begins. uWSGI needs about a second to end.
_LATEST_SECONDS = 0.3


def asleep(bench: Bench) -> Iterator[Row]:
    """Measure the answer minus the app's cold start, which is measured in the same round."""
    with place() as folder, Ours(folder) as ours:
        app = copy_apps(folder)["Flask"]
        ours.add(_DOMAIN, str(app), idle="1")
        incumbent = Incumbent(folder)
        theirs = [f"theirs{number}.localhost" for number in range(ROUNDS + 1)]
        for domain in theirs:
            incumbent.drop(domain, ini(app, "idle = 1"))
        with incumbent, PlainNginx(folder, incumbent.sockets) as plain:
            incumbent.until_listening(theirs[-1])
            sides = {
                "ours": lambda: _ours(ours),
                "Emperor": _theirs(incumbent, plain.port, theirs),
            }
            what = "a hit in an idle stop, over the app's boot"
            yield row(what, "ms", bench.paired(what, sides, seldom="Emperor"), Limit(20.0))


def _ours(ours: Ours) -> float:
    ours.until_asleep(_DOMAIN)
    with closing(UnixConnection(ours.run_dir / "control.sock")) as connection:
        connection.request("GET", "/v1/events?past=0")
        events = connection.getresponse()
        boot = http_first_byte(ours.port, _DOMAIN)
        while json.loads(events.readline())["after"] != "stopping":
            pass
        return _hit(ours.port, _DOMAIN) - boot


def _theirs(incumbent: Incumbent, port: int, domains: list[str]) -> Callable[[], float]:
    numbers = count()

    def hit() -> float:
        domain = domains[next(numbers)]
        boot = http_first_byte(port, domain)
        stopping = f"bringing back instance {domain}.ini to on-demand mode"
        eventually(lambda: incumbent.said(stopping), seconds=30)
        return _hit(port, domain) - boot

    return hit


def _hit(port: int, domain: str) -> float:
    time.sleep(random.uniform(0, _LATEST_SECONDS))
    return http_first_byte(port, domain)
