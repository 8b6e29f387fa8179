"""The made-up day of a large fleet (tests/scale), which is simulated and not measured."""

from collections.abc import Iterator
from dataclasses import replace

from tests.bench.place import place
from tests.bench.report import Row, found
from tests.bench.rounds import Bench
from tests.scale.day import Day, Size
from tests.scale.story import at_the_start, play

# So many slots for one of before: the most that emperorctl takes.
_TIMES = 16
_QUICK = Size(backends=50, domains=20_000, awake=2_000)


def scale(bench: Bench) -> Iterator[Row]:
    """Let the day pass once; it is the same each time."""
    size = _QUICK if bench.quick else Size()
    with place() as folder:
        for finding in play(size, folder, bench.tell):
            what = f"a day of {size.backends:,} backends, {finding.what}"
            yield found(what, finding.unit, finding.value)
        bench.tell("with more slots")
        more = replace(size, slots=_TIMES * size.slots)
        for finding in at_the_start(Day(more, folder, bench.tell)):
            what = f"a day of {size.backends:,} backends, {more.slots:,} slots, {finding.what}"
            yield found(what, finding.unit, finding.value)
