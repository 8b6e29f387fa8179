"""An app that cannot be imported: what its visitors get, and how soon."""

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median

from tests.bench.apps import BROKEN
from tests.bench.load import Answer, Client, load
from tests.bench.peers.contest import Comparison, Ground
from tests.bench.peers.emperors import Emperord
from tests.bench.peers.peer import Peer
from tests.bench.peers.sites import sites
from tests.bench.peers.ways import PEERS
from tests.bench.place import place
from tests.bench.rounds import Bench

NAME = "peers-crash"
_REQUESTS = 40
_EVERY_SECONDS = 0.1
_ROUNDS = 3


def crash(bench: Bench) -> Iterator[Comparison]:
    """A visitor every tenth of a second, for four seconds."""
    with place() as folder:
        shutil.copy(BROKEN, folder / "application.py")
        [site] = sites("broken", folder / "application.py", 1)
        ground = Ground(NAME, folder, [site], PEERS)

        def visit(peer: Peer) -> list[Answer]:
            return load(peer.port, site.domain, Client(_REQUESTS, _EVERY_SECONDS))

        seen = ground.each_round(bench, visit, _ROUNDS, warm_up=False)
        what = "an app that crashes at import"
        yield seen.row(f"{what}: an answer", "ms", _usual, to=Emperord.name, note=_statuses)
        yield seen.row(f"{what}: the slowest answer", "ms", _slowest, to=Emperord.name)


def _usual(answers: list[Answer]) -> float:
    return median(answer.seconds for answer in answers)


def _slowest(answers: list[Answer]) -> float:
    return max(answer.seconds for answer in answers)


def _statuses(rounds: Sequence[list[Answer]]) -> str:
    counts = Counter(answer.status for answers in rounds for answer in answers)
    told = [f"{count} times {status or 'no answer'}" for status, count in counts.most_common()]
    return ", ".join(told)
