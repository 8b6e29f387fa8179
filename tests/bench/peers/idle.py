"""Visitors who come while their app, idle for long enough, is being stopped."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.bench.peers.activated import ActivatedGunicorn
from tests.bench.peers.contest import Comparison, Ground
from tests.bench.peers.emperors import Emperord
from tests.bench.peers.peer import Peer, Site
from tests.bench.peers.sites import apps, sites
from tests.bench.peers.ways import PEERS
from tests.bench.place import place
from tests.bench.rounds import Bench

NAME = "peers-idle"
_SITES = 30
_IDLE_SECONDS = 1
# The second visit of a site comes after between one second and four.
_FIRST_SECONDS = 1.0
_STEP_SECONDS = 0.1
_ROUNDS = 3
_CANNOT = {ActivatedGunicorn.name: "cannot: it never stops an idle app"}


@dataclass(frozen=True, slots=True)
class Sweep:
    """The seconds that the slowest second visit took, and the number of those that failed."""

    slowest: float
    failed: int


def idle(bench: Bench) -> Iterator[Comparison]:
    """Each site is visited twice. The second visits sweep over the time in which apps stop."""
    with place() as folder:
        idlers = sites("idle", apps(folder)["trivial"], _SITES, _IDLE_SECONDS)
        ground = Ground(NAME, folder, idlers, PEERS, _CANNOT)
        seen = ground.each_round(bench, _sweep, _ROUNDS, warm_up=False)
        what = f"{_SITES} hits around an idle stop"
        yield seen.row(
            f"{what}: the slowest answer",
            "ms",
            lambda sweep: sweep.slowest,
            to=Emperord.name,
            note=_lost,
        )
        yield seen.row(f"{what}: failed", "", lambda sweep: sweep.failed, to=Emperord.name)


def _lost(sweeps: Sequence[Sweep]) -> str:
    worst = max(sweep.failed for sweep in sweeps)
    return f"of those that were answered: {worst} of {_SITES} failed" if worst else ""


def _sweep(peer: Peer) -> Sweep:
    def second(number_and_site: tuple[int, Site]) -> float | None:
        number, site = number_and_site
        time.sleep(number * _STEP_SECONDS)  # a few boots at a time
        peer.first_byte(site.domain)
        time.sleep(_FIRST_SECONDS + number * _STEP_SECONDS)
        try:
            return peer.first_byte(site.domain)
        except OSError:
            return None

    with ThreadPoolExecutor(len(peer.sites)) as visitors:
        took = list(visitors.map(second, enumerate(peer.sites)))
    answered = [seconds for seconds in took if seconds is not None]
    return Sweep(max(answered), took.count(None))
