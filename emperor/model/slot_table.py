"""The table of slots that all load balancers of a fleet share: its form as bytes, its changes,
whether a table that arrives makes sense after the one before, and what belongs to a backend.

A table that names too few backends takes sites down, or moves all of them at once. A balancer that
refuses a table goes on with its last good one. An operator can force a table; the table says so.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import msgspec

from emperor.model.backend_address import address_problem, canonical, list_problem
from emperor.model.json_value import from_json
from emperor.model.registration import slot_of
from emperor.model.share import Elsewhere, Share
from emperor.model.slots import rebalanced
from emperor.model.weight import parse_weight, spelled_weight
from emperor.model.wildcard import is_wildcard

MOST_SLOTS = 65_536
# Somebody who writes the highest one would end all changes, so balancers take no such leap.
MOST_SERIAL = 10**15
MOST_AHEAD = 10**9
_LONGEST_VALUE_BYTES = 1 << 20
_MOST_REMOVED = 1000
_ONE = Fraction(1)
NO_TABLE = "the registry has no table of slots; `emperorctl fleet slots init` makes one"


class BrokenTable(Exception):
    """A table cannot be used, or makes no sense; the message says why."""


@dataclass(frozen=True, slots=True)
class SlotTable:
    """The backend of each slot. Each change adds 1 to `serial`, which begins at 1. `forced` is the
    last serial that an operator has forced, 0 if none. `weights` has those other than 1. `ports`
    are those of backends without one, for http and for https, if not 80 and 443. `removed` are
    those that an operator has taken out: no agent takes them in again."""

    serial: int
    slots: tuple[str, ...]
    weights: Mapping[str, Fraction]
    ports: tuple[int, int] | None = None
    forced: int = 0
    removed: tuple[str, ...] = ()

    @property
    def backends(self) -> tuple[str, ...]:
        """All backends, each once, in the order of their first slots."""
        return tuple(dict.fromkeys(self.slots))

    def backend_of(self, host: str) -> str:
        """The backend to which a host name belongs."""
        return self.slots[slot_of(host, len(self.slots))]

    def weight(self, backend: str) -> Fraction:
        """The weight of a backend."""
        return self.weights.get(backend, _ONE)


class _Wire(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """The value of the key: readable with etcdctl. `slots` are places in `backends`, from 0 on."""

    serial: int
    backends: list[str]
    slots: list[int]
    weights: dict[str, str] = {}
    ports: tuple[int, int] | None = None
    forced: int = 0
    removed: tuple[str, ...] = ()


def encoded(table: SlotTable) -> bytes:
    """The value of the key of the table. Raises BrokenTable if a balancer would not take it."""
    number = {backend: place for place, backend in enumerate(table.backends)}
    weights = {each: spelled_weight(weight) for each, weight in table.weights.items()}
    slots = [number[backend] for backend in table.slots]
    value = msgspec.json.encode(
        _Wire(
            table.serial, list(number), slots, weights, table.ports, table.forced, table.removed
        )
    )  # fmt: skip
    decoded(value)
    return value


def decoded(value: bytes) -> SlotTable:
    """The table that the registry has. Raises BrokenTable."""
    if len(value) > _LONGEST_VALUE_BYTES:
        raise BrokenTable(f"it has {len(value)} bytes, and {_LONGEST_VALUE_BYTES} are allowed")
    try:
        wire = from_json(value, _Wire)
        weights = {each: parse_weight(text) for each, text in wire.weights.items()}
    except ValueError as error:
        raise BrokenTable(f"it is no table of this version of emperord: {error}") from error
    if not all(0 <= place < len(wire.backends) for place in wire.slots):
        raise BrokenTable("a slot names a backend that the table has not")
    slots = tuple(wire.backends[place] for place in wire.slots)
    table = SlotTable(wire.serial, slots, weights, wire.ports, wire.forced, wire.removed)
    if problem := table_problem(table):
        raise BrokenTable(problem)
    return table


def table_problem(table: SlotTable) -> str | None:
    """What is wrong with a table by itself."""
    if table.serial < 1:
        return f"its serial is {table.serial}; serials begin at 1"
    if table.serial > MOST_SERIAL:
        return f"its serial is above {MOST_SERIAL}"
    if not table.slots:
        return "it is empty; it needs at least one backend"
    if len(table.slots) > MOST_SLOTS:
        return f"it has {len(table.slots)} slots, and {MOST_SLOTS} are allowed"
    if table.ports and not _are_ports(*table.ports):
        return (
            f"its ports are {table.ports[0]} and {table.ports[1]}; two from 1 to 65535 are needed"
        )
    return list_problem(table.backends) or _problem_of_names(table)


def _problem_of_names(table: SlotTable) -> str | None:
    """The list of a balancer, which is Lua, has these names too."""
    backends = set(table.slots)
    if stranger := next((each for each in table.weights if each not in backends), None):
        return f"it has a weight for {stranger[:64]!r}, which is no backend of it"
    for each in table.removed:
        if problem := address_problem(each):
            return f"among those that were removed: {each[:64]!r} {problem}"
    return None


def _are_ports(http: int, https: int) -> bool:
    return http != https and all(1 <= port <= 65535 for port in (http, https))


def objection(table: SlotTable, before: SlotTable) -> str | None:
    """Why a balancer that has `before` does not take `table`, which has no problem by itself."""
    if why := _objection_to_serial(table.serial, before.serial):
        return why
    if before.serial < table.forced <= table.serial:
        return None
    if len(table.slots) != len(before.slots):
        return f"it has {len(table.slots)} slots instead of {len(before.slots)}: most domains move"
    old, new = set(before.slots), set(table.slots)
    if (gone := len(old - new)) and 2 * gone >= len(old):
        return f"{gone} of {len(old)} backends are gone at once, half or more"
    # A fleet of one machine must be able to grow.
    if (added := len(new - old)) > 1 and 2 * added >= len(new):
        return f"{added} of {len(new)} backends are new at once, half or more"
    return None


def _objection_to_serial(serial: int, before: int) -> str | None:
    if serial <= before:
        return f"its serial is {serial}, and serial {before} is in use already"
    if serial > before + MOST_AHEAD:
        return f"its serial is {serial}, more than {MOST_AHEAD} above {before} in use"
    return None


def with_weights(table: SlotTable, weights: Mapping[str, Fraction]) -> SlotTable:
    """The next table, in which each backend of `weights`, and no other, has its share of the slots,
    and few slots move. Raises TooFewSlots."""
    slots = rebalanced(table.slots, weights)
    other = {backend: weight for backend, weight in weights.items() if weight != 1}
    there = {canonical(each) for each in weights}
    removed = tuple(each for each in table.removed if canonical(each) not in there)
    return replace(
        table, serial=table.serial + 1, slots=slots, weights=other, removed=removed
    )  # fmt: skip


def without(table: SlotTable, backends: Collection[str]) -> SlotTable:
    """The next table, in which the others have the slots of these. Raises TooFewSlots."""
    left = {each: weight for each, weight in weights_in(table).items() if each not in backends}
    removed = dict.fromkeys((*table.removed, *backends))
    return replace(with_weights(table, left), removed=tuple(removed)[-_MOST_REMOVED:])


def with_slot(table: SlotTable, slot: int, backend: str) -> SlotTable:
    """The next table, in which one slot, counted from 1, names that backend."""
    slots = (*table.slots[: slot - 1], backend, *table.slots[slot:])
    left = {each: weight for each, weight in table.weights.items() if each in slots}
    return replace(table, serial=table.serial + 1, slots=slots, weights=left)


def forced(table: SlotTable) -> SlotTable:
    """The table as one that balancers take however much it changes."""
    return replace(table, forced=table.serial)


def weights_in(table: SlotTable) -> dict[str, Fraction]:
    """The weight of each backend of the table."""
    return {backend: table.weight(backend) for backend in table.backends}


def moved(old: Sequence[str], new: Sequence[str]) -> int:
    """How many slots name another backend; all of them if their number differs."""
    if len(old) != len(new):
        return len(new)
    return sum(a != b for a, b in zip(old, new, strict=True))


def share_of(table: SlotTable, address: str, served: Iterable[tuple[str, ...]]) -> Share:
    """`served` has the hosts of each ini, its domain first. It belongs here if one of them does:
    each host is hashed alone, also an alias."""
    own = wildcards = 0
    elsewhere = []
    for hosts in served:
        backends = [table.backend_of(host) for host in hosts if not is_wildcard(host)]
        if address in backends:
            own += 1
        elif is_wildcard(hosts[0]):
            wildcards += 1
        else:
            elsewhere.append(Elsewhere(hosts[0], backends[0]))
    slots, all_slots = table.slots.count(address), len(table.slots)
    return Share(table.serial, address, slots, all_slots, own, wildcards, tuple(elsewhere))
