"""The memory of fifty running Django apps, with what supervises them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from tests.bench.peers.contest import Comparison, Ground
from tests.bench.peers.emperors import Emperord
from tests.bench.peers.peer import WEB_SERVERS, Peer
from tests.bench.peers.sites import apps, sites
from tests.bench.peers.ways import BY_START
from tests.bench.place import place
from tests.bench.rounds import Bench

NAME = "peers-memory"
_SIZE = 50
_AT_ONCE = 4
_ROUNDS = 3


def memory(bench: Bench) -> Iterator[Comparison]:
    """After one request to each, without the web server."""
    with place() as folder:
        crowd = sites("django", apps(folder)["Django"], _SIZE)
        ground = Ground(NAME, folder, crowd, BY_START)

        def visit(peer: Peer) -> int:
            with ThreadPoolExecutor(_AT_ONCE) as visitors:
                list(visitors.map(peer.first_byte, [site.domain for site in crowd]))
            return peer.memory(WEB_SERVERS)

        seen = ground.each_round(bench, visit, _ROUNDS, warm_up=False)
        what = f"{_SIZE} running Django apps: proportional set size (PSS)"
        yield seen.row(what, "MB", float, to=Emperord.name)
