"""What happens in the made-up day, and what is measured of it."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from tests.scale.day import Day, Size
from tests.scale.traffic import BUSIEST, DAY_SECONDS

_HOUR, _MINUTE = 3600.0, 60.0
# The part of the backends that stand in a rack, or in a room.
_RACK, _ROOM = 25, 4


@dataclass(frozen=True, slots=True)
class Finding:
    """A figure of the day. Without a unit it is a number of things."""

    what: str
    value: float
    unit: str = ""


def tell_nobody(_: str) -> None:
    """Keep the progress to oneself."""


def play(size: Size, folder: Path, tell: Callable[[str], None] = tell_nobody) -> Iterator[Finding]:
    """Let the day pass. `folder` gets the balancers' list."""
    day = Day(size, folder, tell)
    yield from at_the_start(day)
    for about in (
        _normal_hours, _losses, _growth, _without_registry, _restart, _empty_disk, _all_disks_empty
    ):  # fmt: skip
        tell(about.__name__.strip("_").replace("_", " "))
        yield from about(day)
    tell("the end")
    day.until(DAY_SECONDS)
    day.forget()
    yield from _at_the_end(day)


def at_the_start(day: Day) -> Iterator[Finding]:
    """How the domains are spread over the backends at midnight."""
    size = day.size
    backends = day.backends.values()
    awake = [backend.awake(0.0, size.idle) for backend in backends]
    held = [len(backend.held) for backend in backends]
    slots = Counter(day.fleet.slots)
    yield Finding("hits a second, all day", sum(day.traffic.rates), "/s")
    yield Finding("apps awake at midnight", sum(awake))
    yield Finding("inis held by all backends", sum(held))
    yield Finding("slots of a backend, at least", min(slots.values()))
    yield Finding("slots of a backend, at most", max(slots.values()))
    yield Finding("inis held by a backend, mean", mean(held))
    yield Finding("inis held by a backend, at most", max(held))
    yield Finding("apps awake on a backend, mean", mean(awake))
    yield Finding("apps awake on a backend, at most", max(awake))
    yield from _watches(day, "at midnight")


def _watches(day: Day, when: str) -> Iterator[Finding]:
    watched = [len(backend.buckets) for backend in day.backends.values()]
    yield Finding(f"buckets watched by all backends {when}", sum(watched))
    yield Finding(f"buckets watched by a backend {when}, at most", max(watched))


def _normal_hours(day: Day) -> Iterator[Finding]:
    began = day.now
    day.until(BUSIEST - 4 * _HOUR)
    took = day.now - began
    yield Finding("reads a second in normal hours", _reads(day, began, day.now) / took)
    yield Finding("reads in a second of normal hours, at most", _most(day, began, day.now))


def _losses(day: Day) -> Iterator[Finding]:
    count = day.size.backends
    yield from _loss(day, "one backend", 1)
    yield from _loss(day, "a rack", max(1, count // _RACK))
    yield from _loss(day, "a quarter", max(1, count // _ROOM))


def _loss(day: Day, what: str, count: int) -> Iterator[Finding]:
    """Have so many backends vanish for half an hour."""
    began = day.now
    gone = day.lose(count)
    day.until(began + 30 * _MINUTE)
    yield Finding(f"{what} lost: reads in the first second", _reads(day, began, began + 1))
    yield Finding(f"{what} lost: reads in a second, at most", _most(day, began, day.now))
    yield Finding(f"{what} lost: reads in the first minute", _reads(day, began, began + _MINUTE))
    yield Finding(f"{what} lost: reads in half an hour", _reads(day, began, day.now))
    day.bring_back(gone)
    back = day.now
    day.until(back + 30 * _MINUTE)
    yield Finding(f"{what} back: reads in half an hour", _reads(day, back, day.now))


def _growth(day: Day) -> Iterator[Finding]:
    began = day.now
    moved = day.add("10.255.0.1")
    yield Finding("a backend added: domains moved", 100 * moved / day.size.domains, "%")
    day.until(began + 30 * _MINUTE)
    yield Finding("a backend added: reads in half an hour", _reads(day, began, day.now))


def _without_registry(day: Day) -> Iterator[Finding]:
    """etcd is away around the busiest moment, for five minutes alone, and then for five in which
    a backend is lost too."""
    day.until(BUSIEST - 5 * _MINUTE)
    began = day.now
    day.registry.is_away = True
    day.until(BUSIEST)
    yield Finding("5 min without registry: hits", day.expected_hits(began, BUSIEST))
    yield Finding("5 min without registry: hits failed", _failed(day, began, BUSIEST))
    gone = day.lose(1)
    day.until(BUSIEST + 5 * _MINUTE)
    more = "5 min without registry and a backend"
    yield Finding(f"{more}: hits failed", _failed(day, BUSIEST, day.now))
    yield Finding("10 min without registry: changes refused", day.account.changes_refused)
    day.registry.is_away = False
    back = day.now
    day.until(back + 10 * _MINUTE)
    yield Finding("registry back: reads in a second, at most", _most(day, back, day.now))
    day.bring_back(gone)


def _restart(day: Day) -> Iterator[Finding]:
    day.until(BUSIEST + _HOUR)
    began = day.now
    watches = day.restart_all()
    day.until(began + _MINUTE)
    yield Finding("all daemons restarted: buckets watched anew", watches)
    yield Finding("all daemons restarted: reads in a minute", _reads(day, began, day.now))


def _empty_disk(day: Day) -> Iterator[Finding]:
    day.until(BUSIEST + 2 * _HOUR)
    gone = day.lose(1)
    day.until(day.now + 10 * _MINUTE)
    began = day.now
    day.bring_back(gone, empty=True)
    day.until(began + _HOUR)
    yield Finding("an empty disk: reads in a second, at most", _most(day, began, day.now))
    yield Finding("an empty disk: reads in the first hour", _reads(day, began, day.now))


def _all_disks_empty(day: Day) -> Iterator[Finding]:
    """All machines are replaced at once, as where the fleet moves to another place."""
    yield from _watches(day, "in the evening")
    day.until(BUSIEST + 4 * _HOUR)
    began = day.now
    day.empty_all()
    day.until(began + _HOUR)
    yield Finding("all disks empty: reads in the first second", _reads(day, began, began + 1))
    yield Finding("all disks empty: reads in the first minute", _reads(day, began, began + _MINUTE))
    yield Finding("all disks empty: reads in the first hour", _reads(day, began, day.now))


def _at_the_end(day: Day) -> Iterator[Finding]:
    account = day.account
    yield Finding("reads of one backend in a second, at most", max(account.pulls_of.values()))
    yield Finding("cold starts in the day", sum(account.wakes.values()))
    yield Finding("cold starts in a second, at most", max(account.wakes.values()))
    yield Finding("changes in the day", account.changes)
    told = sum(account.told.values())
    yield Finding("backends told of a change, mean", told / max(1, account.changes))
    yield Finding("backends that write a change, at most", max(account.spread))


def _reads(day: Day, begin: float, end: float) -> float:
    return sum(day.registry.reads[second] for second in range(int(begin), int(end)))


def _most(day: Day, begin: float, end: float) -> float:
    return max(day.registry.reads[second] for second in range(int(begin), int(end)))


def _failed(day: Day, begin: float, end: float) -> float:
    return sum(day.account.failed[second] for second in range(int(begin), int(end)))
