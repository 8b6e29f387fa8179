"""All parts of the comparison, by the names that --rows takes."""

from collections.abc import Callable, Iterator

from tests.bench.peers import (
    cold,
    crash,
    drop,
    herd,
    idle,
    memory,
    parked,
    under_load,
    warm,
)
from tests.bench.peers.contest import Comparison
from tests.bench.rounds import Bench

COMPARISONS: dict[str, Callable[[Bench], Iterator[Comparison]]] = {
    cold.NAME: cold.cold,
    herd.NAME: herd.herd,
    drop.NAME: drop.drop,
    parked.NAME: parked.parked,
    crash.NAME: crash.crash,
    under_load.RELOAD: under_load.reload,
    under_load.RESTART: under_load.restart,
    idle.NAME: idle.idle,
    memory.NAME: memory.memory,
    warm.NAME: warm.warm,
}
