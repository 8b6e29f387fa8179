"""Requests per second to an app that runs."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from tests.bench.peers.contest import Comparison, Ground, contest
from tests.bench.peers.emperors import Emperord
from tests.bench.peers.peer import Peer
from tests.bench.peers.sites import apps, sites
from tests.bench.peers.ways import WITH_BARE
from tests.bench.place import place
from tests.bench.rounds import Bench
from tests.bench.wrk import wrk

NAME = "peers-warm"
_ROUNDS = 11
_CONNECTIONS = (1, 16)


def warm(bench: Bench) -> Iterator[Comparison]:
    """All run at the same time, and one is asked at a time, for a second."""
    with place() as folder, ExitStack() as stack:
        [site] = crowd = sites("trivial", apps(folder)["trivial"], 1)
        ground = Ground(NAME, folder, crowd, WITH_BARE)
        peers = ground.all_at_once(stack)
        for peer in peers.values():
            peer.first_byte(site.domain)

        def rate(peer: Peer, connections: int) -> float:
            return wrk(f"http://127.0.0.1:{peer.port}/", site.domain, connections).rate

        for connections in _CONNECTIONS:
            sides = {name: partial(rate, peer, connections) for name, peer in peers.items()}
            seen = contest(bench, sides, ground.empty(), _ROUNDS)
            what = f"warm requests, {connections} at once"
            yield seen.row(what, "/s", float, to=Emperord.name, more_is_better=True)
