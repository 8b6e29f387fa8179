"""Sixty sleeping apps get a request at the same moment."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from tests.bench.peers.contest import Comparison, Ground
from tests.bench.peers.floors import BareExec
from tests.bench.peers.peer import Peer
from tests.bench.peers.sites import apps, sites
from tests.bench.peers.ways import STARTS_AND_BARE
from tests.bench.place import place
from tests.bench.rounds import Bench

NAME = "peers-herd"
_SIZE = 60
_ROUNDS = 3


def herd(bench: Bench) -> Iterator[Comparison]:
    """Measure how long the last visitor waits, and the middle one."""
    with place() as folder:
        crowd = sites("flask", apps(folder)["Flask"], _SIZE)
        ground = Ground(NAME, folder, crowd, STARTS_AND_BARE)

        def visit(peer: Peer) -> list[float]:
            begun = time.perf_counter()

            def ask(domain: str) -> float:
                peer.first_byte(domain)
                return time.perf_counter() - begun

            with ThreadPoolExecutor(_SIZE) as visitors:
                return sorted(visitors.map(ask, [site.domain for site in crowd]))

        seen = ground.each_round(bench, visit, _ROUNDS, warm_up=False)
        what = f"{_SIZE} cold Flask apps at once"
        yield seen.row(f"{what}: the last answer", "s", lambda took: took[-1], to=BareExec.name)
        yield seen.row(
            f"{what}: the middle answer", "s", lambda took: took[_SIZE // 2], to=BareExec.name
        )
