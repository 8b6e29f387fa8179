"""Thousands of sites that nobody asks for: how long their host takes to start, and its memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path

from tests.bench.peers.activated import ActivatedGunicorn, ActivatedUwsgi
from tests.bench.peers.contest import Comparison, Ground, contest
from tests.bench.peers.emperors import Emperord
from tests.bench.peers.passenger import Passenger
from tests.bench.peers.peer import NGINX, Peer
from tests.bench.peers.sites import sites
from tests.bench.peers.ways import PEERS
from tests.bench.place import place
from tests.bench.rounds import Bench

NAME = "peers-parked"
_SIZES = (1_000, 10_000)
_ROUNDS = 3
_APP = Path("/srv/app/application.py")
_GUNICORN = "as with uWSGI: what waits is systemd-socket-activate"
_TOO_MUCH = "not run: a process for each site, each of the size above"
_TOO_LONG = "not run: its start would take minutes, by the row above"
_CANNOT = {
    1_000: {ActivatedGunicorn.name: _GUNICORN},
    10_000: {
        ActivatedUwsgi.name: _TOO_MUCH,
        ActivatedGunicorn.name: _TOO_MUCH,
        Passenger.name: _TOO_LONG,
    },
}


@dataclass(frozen=True, slots=True)
class Start:
    """The seconds until a visitor could ask for each of the sites, and the bytes of memory (PSS)
    that each of them takes then."""

    seconds: float
    each: float


def parked(bench: Bench) -> Iterator[Comparison]:
    """The memory of each site is what its host needs more than without sites."""
    with place() as folder:
        none = Ground(NAME, folder, [], PEERS, _CANNOT[_SIZES[0]])
        bare = none.each_round(bench, _pss, _ROUNDS).seen
        floors = {name: min(seen) for name, seen in bare.items()}
        for size in _SIZES:
            ground = Ground(NAME, folder, sites("site", _APP, size), PEERS, _CANNOT[size])
            sides = {
                way.name: partial(_start, way, ground, floors.get(way.name, 0)) for way in PEERS
            }
            seen = contest(bench, sides, ground.empty(), _ROUNDS, warm_up=False)
            for what, unit, value in (
                ("start → all can be asked", "s", attrgetter("seconds")),
                ("memory of each (PSS)", "KB", attrgetter("each")),
            ):
                yield seen.row(f"{size:,} parked: {what}", unit, value, to=Emperord.name)


def _pss(peer: Peer) -> int:
    return peer.memory(NGINX)


def _start(way: type[Peer], ground: Ground, bare: int) -> Start:
    with way(ground.folder, ground.sites) as peer:
        return Start(peer.up_after, (_pss(peer) - bare) / len(ground.sites))
