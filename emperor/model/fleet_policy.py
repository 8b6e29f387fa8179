"""When a load balancer's agent changes the table of slots by itself: which backends it takes in,
and whose slots it gives to others.

By itself it does neither: a backend whose lease has ended keeps its slots, and balancers pass it
over. An administrator may choose otherwise.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from emperor.model.backend_address import address_problem, canonical, is_loopback
from emperor.model.member import Member
from emperor.model.slot_table import (
    SlotTable,
    objection,
    table_problem,
    weights_in,
    with_weights,
)
from emperor.model.slots import TooFewSlots
from emperor.model.weight import spelled_weight

# A new backend must have been registered for so long without a break.
STAYED_SECONDS = 30.0
# Anybody with the role of a backend can register any number of addresses.
_MOST_ALONE = 16


@dataclass(frozen=True, slots=True)
class Policy:
    """What an agent may change by itself. `move_after`: seconds after which the slots of a backend
    that is down go to others; None: never. `take_in`: a new backend gets its share."""

    move_after: float | None = None
    take_in: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """A change that is due: the next table, and whom it adds and removes. Without a table it makes
    no sense, and `why` says why."""

    table: SlotTable | None
    added: tuple[str, ...]
    removed: tuple[str, ...]
    why: str = ""


class Attendance:
    """Since when each backend is up or down, as far as it was seen without a break; the times are
    those of a monotonic clock."""

    def __init__(self) -> None:
        self._up: dict[str, tuple[str, float]] = {}
        self._down: dict[str, float] = {}

    def note(self, members: Iterable[Member], table: SlotTable | None, now: float) -> None:
        """The backends that are up now. Another machine at an address begins anew."""
        before, self._up = self._up, {}
        for member in members:
            machine, since = before.get(member.address, (member.machine, now))
            is_same = machine == member.machine
            self._up[member.address] = (member.machine, since if is_same else now)
        known = [*(table.backends if table else ()), *self._down]
        self._down = {each: self._down.get(each, now) for each in known if each not in self._up}

    def forget(self) -> None:
        """The registry was out of sight: what happened meanwhile is not known."""
        self._up.clear()
        self._down.clear()

    def up_for(self, backend: str, now: float) -> float | None:
        """How long a backend has been up; None if it is down."""
        seen = self._up.get(backend)
        return None if seen is None else now - seen[1]

    def down_for(self, backend: str, now: float) -> float | None:
        """How long a backend has been down; None if it is up."""
        since = self._down.get(backend)
        return None if since is None else now - since


def due(
    policy: Policy,
    table: SlotTable,
    members: Mapping[str, Member],
    attendance: Attendance,
    now: float,
) -> Step | None:
    """The change that is due now, if any."""
    removed = tuple(
        backend
        for backend in table.backends
        if policy.move_after is not None
        and (attendance.down_for(backend, now) or 0.0) >= policy.move_after
    )
    gone = {canonical(each) for each in table.removed}
    new = [
        address
        for address, member in members.items()
        if policy.take_in
        and address not in table.backends
        and canonical(address) not in gone
        and not member.drains
        and (attendance.up_for(address, now) or 0.0) >= STAYED_SECONDS
    ]
    whys = {each: _unfit(members[each], table) for each in new}
    added = tuple(each for each, why in whys.items() if not why)
    if not (removed or added):
        return next((Step(None, (each,), (), why) for each, why in whys.items() if why), None)
    step = _step(table, members, added, removed)
    # One backend with an odd address or weight must not keep all others out.
    parts = (((), removed), *(((each,), ()) for each in added[:_MOST_ALONE]))
    alone = (_step(table, members, *part) for part in parts if any(part) and not step.table)
    return next((each for each in alone if each.table), step)


def _unfit(member: Member, table: SlotTable) -> str:
    """Why a balancer must not take that backend in by itself, whatever else it takes in."""
    address = member.address
    if problem := address_problem(address):
        return f"{address} {problem}"
    if is_loopback(address):
        return f"{address} leads each balancer to itself; correct the backend's fleet-address"
    if member.weight > sum(weights_in(table).values()):
        weight = spelled_weight(member.weight)
        return (
            f"its weight of {weight} would give it more than half of the slots;"
            f" `emperorctl fleet add {address}={weight}` does so all the same"
        )
    return ""


def _step(
    table: SlotTable,
    members: Mapping[str, Member],
    added: tuple[str, ...],
    removed: tuple[str, ...],
) -> Step:
    weights = {each: weight for each, weight in weights_in(table).items() if each not in removed}
    if not (weights or added):
        return Step(None, added, removed, "no backend would be left")
    gained = {address: members[address].weight for address in added}
    if gained and sum(gained.values()) > sum(weights.values()):
        return Step(None, added, removed, "they would have more than half of the slots")
    weights |= gained
    try:
        after = with_weights(table, weights)
    except TooFewSlots as error:
        return Step(None, added, removed, f"{error} would have no slot")
    if why := table_problem(after) or objection(after, table):
        return Step(None, added, removed, why)
    return Step(after, added, removed)


def next_look(
    policy: Policy,
    table: SlotTable,
    members: Mapping[str, Member],
    attendance: Attendance,
    now: float,
) -> float | None:
    """In how many seconds a change may become due, if no backend comes or goes."""
    waits = []
    if policy.move_after is not None:
        downs = [attendance.down_for(backend, now) for backend in table.backends]
        waits += [policy.move_after - down for down in downs if down is not None]
    if policy.take_in:
        ups = [attendance.up_for(each, now) for each in members if each not in table.backends]
        waits += [STAYED_SECONDS - up for up in ups if up is not None]
    left = [wait for wait in waits if wait > 0]
    return min(left) if left else None
