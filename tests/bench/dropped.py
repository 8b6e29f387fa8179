"""Measures the time from `mv x.ini vassals/` to a socket that accepts connections."""

import socket
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from docs.figures import Limit
from tests.bench.apps import copy_apps, ini
from tests.bench.knock import uwsgi_first_byte
from tests.bench.ours import Ours
from tests.bench.place import place
from tests.bench.report import Row, row
from tests.bench.rivals import Incumbent
from tests.bench.rounds import Bench

_PATIENCE_SECONDS = 30.0
_STEP_SECONDS = 0.0001


def dropped(bench: Bench) -> Iterator[Row]:
    """Measure with a new domain each time, and a daemon that has nothing else to do."""
    with place() as folder, Ours(folder) as ours, Incumbent(folder) as incumbent:
        app = copy_apps(folder)["trivial"]
        sides = {
            "ours": _mover(folder, ours.vassals, ours.listener, lambda d: ours.ini(d, str(app))),
            "Emperor": _mover(folder, incumbent.vassals, incumbent.listener, lambda _: ini(app)),
        }
        what = "mv of a new ini → its socket accepts"
        yield row(what, "ms", bench.paired(what, sides, seldom="Emperor"), Limit(5.0))


def _mover(
    folder: Path, vassals: Path, listener: Callable[[str], Path], text: Callable[[str], str]
) -> Callable[[], float]:
    numbers = count()

    def move() -> float:
        domain = f"app{next(numbers)}.localhost"
        draft = folder / "draft"
        draft.write_text(text(domain))
        begun = time.perf_counter()
        draft.rename(vassals / f"{domain}.ini")
        _until_accepting(listener(domain))
        took = time.perf_counter() - begun
        # The connection wakes the app: wait for its boot before the next round.
        uwsgi_first_byte(listener(domain), domain)
        return took

    return move


def _until_accepting(path: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(_STEP_SECONDS)
            else:
                return
    raise TimeoutError(f"no process listens on {path}")
