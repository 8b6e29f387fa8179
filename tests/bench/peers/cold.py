"""A visitor of an app that does not run: from connect() to the first byte of the answer."""

from collections.abc import Iterator
from operator import itemgetter

from tests.bench.peers.contest import Comparison, Ground
from tests.bench.peers.floors import BareExec
from tests.bench.peers.peer import Peer, Site
from tests.bench.peers.sites import apps
from tests.bench.peers.ways import WITH_FLOORS
from tests.bench.place import place
from tests.bench.rounds import Bench

NAME = "peers-cold"
_ROUNDS = 11


def cold(bench: Bench) -> Iterator[Comparison]:
    """Each peer is started anew in each round, and gets one request for each app."""
    with place() as folder:
        measured = apps(folder, real=True)
        domains = {name: f"{name.lower()}.localhost" for name in measured}
        sites = [Site(domains[name], app) for name, app in measured.items()]

        def visit(peer: Peer) -> dict[str, float]:
            return {name: peer.first_byte(domain) for name, domain in domains.items()}

        ground = Ground(NAME, folder, sites, WITH_FLOORS)
        seen = ground.each_round(bench, visit, _ROUNDS)
        for name in measured:
            yield seen.row(f"cold start, {name}", "ms", itemgetter(name), to=BareExec.name)
