"""Uploads to an app that reads them: what it costs that uWSGI reads the whole body first, so that
an early answer arrives (docs/decisions/requests.md)."""

import time
from collections.abc import Iterator

from tests.backend import APPS
from tests.bench.ours import Ours
from tests.bench.place import place
from tests.bench.report import Row, row
from tests.bench.rounds import Bench
from tests.http_client import Request, ask

_SIZES = {"50 KB": 50_000, "1 MB": 1_000_000, "100 MB": 100_000_000}
_OURS = "ours.localhost"
_WITHOUT = "without.localhost"


def upload(bench: Bench) -> Iterator[Row]:
    """Compare with the same app, whose ini switches this off."""
    with place() as folder, Ours(folder) as ours:
        app = str(APPS / "reading.py")
        ours.add(_OURS, app)
        ours.add(_WITHOUT, app, post_buffering="0")
        for name, size in _SIZES.items():
            sides = {
                "ours": lambda size=size: _seconds(ours.port, _OURS, size),
                "without post-buffering": lambda size=size: _seconds(ours.port, _WITHOUT, size),
            }
            what = f"an upload of {name}"
            yield row(what, "ms", bench.paired(what, sides))


def _seconds(port: int, domain: str, size: int) -> float:
    body = bytes(size)
    begun = time.perf_counter()
    reply = ask(port, Request(domain, method="POST", body=body))
    took = time.perf_counter() - begun
    if (reply.status, reply.text) != (200, str(size)):
        raise ConnectionError(f"cannot measure {domain}: it answered {reply.status}")
    return took
