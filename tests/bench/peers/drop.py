"""A new site: from the file that describes it to the first answer of its app."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path

from tests.bench.peers.activated import ActivatedGunicorn, ActivatedUwsgi
from tests.bench.peers.contest import Comparison, Ground, contest
from tests.bench.peers.emperors import Emperord
from tests.bench.peers.peer import Peer, Site
from tests.bench.peers.sites import apps, sites
from tests.bench.peers.ways import PEERS
from tests.bench.place import place
from tests.bench.rounds import Bench
from tests.http_client import Request, ask

NAME = "peers-drop"
_SIZE = 100
_ROUNDS = 7
_STEP_SECONDS = 0.002
_PATIENCE_SECONDS = 60.0
_NO_FOLDER = "cannot: it has no folder of sites; a unit is written and started for each"
_CANNOT = {ActivatedUwsgi.name: _NO_FOLDER, ActivatedGunicorn.name: _NO_FOLDER}


def drop(bench: Bench) -> Iterator[Comparison]:
    """The peers run all the time, with some sites that nobody asks for."""
    with place() as folder, ExitStack() as stack:
        app = apps(folder)["trivial"]
        ground = Ground(NAME, folder, sites("site", app, _SIZE), PEERS, _CANNOT)
        sides = {
            name: partial(_first_answer, peer, app, count())
            for name, peer in ground.all_at_once(stack).items()
        }
        seen = contest(bench, sides, ground.empty(), _ROUNDS)
        what = f"a new site beside {_SIZE} others: file → first answer"
        yield seen.row(what, "ms", float, to=Emperord.name)


def _first_answer(peer: Peer, app: Path, numbers: Iterator[int]) -> float:
    domain = f"new{next(numbers)}.localhost"
    begun = time.perf_counter()
    peer.drop(Site(domain, app))
    while True:
        status = ask(peer.port, Request(domain)).status
        took = time.perf_counter() - begun
        if status == 200:
            return took
        if took > _PATIENCE_SECONDS:
            raise TimeoutError(f"{domain} answers {status}")
        time.sleep(_STEP_SECONDS)
