"""Requests at a fixed rate to a Flask app, while it is reloaded, or its host is restarted."""

import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median

from tests.bench.load import Client, load
from tests.bench.peers.activated import ActivatedGunicorn, ActivatedUwsgi
from tests.bench.peers.contest import Comparison, Ground
from tests.bench.peers.emperors import Emperord
from tests.bench.peers.peer import Peer
from tests.bench.peers.sites import apps, sites
from tests.bench.peers.ways import PEERS
from tests.bench.place import place
from tests.bench.reload import Reloaded
from tests.bench.rounds import Bench
from tests.eventually import eventually
from tests.http_client import Request, ask

RELOAD = "peers-reload"
RESTART = "peers-restart"
_PER_SECOND = 50
_REQUESTS = 250
_AFTER_SECONDS = 1.0
_ROUNDS = 5
_GONE = "cannot: the tool becomes the app's server, whose socket ends with it"


def reload(bench: Bench) -> Iterator[Comparison]:
    """New code: each way has its own command for that."""

    def change(peer: Peer, domain: str) -> None:
        before = ask(peer.port, Request(domain)).body
        peer.reload(domain)
        # An app that is lost answers something else, too.
        eventually(lambda: ask(peer.port, Request(domain)).body != before)

    yield from _rows(bench, RELOAD, "reload of an app", change, {})


def restart(bench: Bench) -> Iterator[Comparison]:
    """A new version of the host itself."""

    def change(peer: Peer, _domain: str) -> None:
        peer.restart()

    cannot = {ActivatedUwsgi.name: _GONE, ActivatedGunicorn.name: _GONE}
    yield from _rows(bench, RESTART, "restart of the host", change, cannot)


def _rows(
    bench: Bench,
    name: str,
    what: str,
    change: Callable[[Peer, str], None],
    cannot: dict[str, str],
) -> Iterator[Comparison]:
    with place() as folder:
        [site] = sites("flask", apps(folder)["Flask"], 1)

        def visit(peer: Peer) -> Reloaded:
            peer.first_byte(site.domain)

            def meanwhile() -> None:
                time.sleep(_AFTER_SECONDS)
                change(peer, site.domain)

            answers = load(peer.port, site.domain, Client(_REQUESTS, 1 / _PER_SECOND), meanwhile)
            usual = median(a.seconds for a in answers if a.sent < _AFTER_SECONDS)
            slowest = max(a.seconds for a in answers if a.sent >= _AFTER_SECONDS)
            return Reloaded(sum(a.status != 200 for a in answers), slowest - usual)

        ground = Ground(name, folder, [site], PEERS, cannot)
        seen = ground.each_round(bench, visit, _ROUNDS, warm_up=False)
        what = f"{what} under {_PER_SECOND} requests/s"
        yield seen.row(
            f"{what}: failed of {_REQUESTS}", "", lambda outcome: outcome.failed, to=Emperord.name
        )
        yield seen.row(
            f"{what}: the slowest answer, over the usual",
            "ms",
            lambda outcome: outcome.stall,
            to=Emperord.name,
            note=_lost,
        )


def _lost(outcomes: Sequence[Reloaded]) -> str:
    worst = max(outcome.failed for outcome in outcomes)
    return f"failed, at worst: {worst}" if worst else ""
