"""`emperorctl rebalance`: a new list for the load balancers that moves as few domains as it can.

The list is Lua on standard output, and what changes is told on standard error.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import click

from emperor.cli.failure import Failed
from emperor.cli.placement import Placement, Rule
from emperor.model.balancer_list import lua
from emperor.model.slot_table import MOST_SLOTS
from emperor.model.slots import TooFewSlots, rebalanced, stretched, usual_count, weights_of
from emperor.model.text import by_numbers
from emperor.model.weight import parse_weight

_HEAD = """\
-- {count} slots of {backends} backends, made by `emperorctl rebalance`.
--
-- A domain belongs to one slot, which `emperorctl route` shows, and the slot names its backend.
-- Keep the number of slots: another number moves most domains. A dead backend stays in the list.
"""


@dataclass(frozen=True, slots=True)
class AddedBackend:
    """A backend of --add. Without =WEIGHT, `weight` is None."""

    address: str
    weight: Fraction | None


def _added_backends(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[AddedBackend, ...]:
    """The callback of --add."""
    return tuple(map(added_backend, values))


def added_backend(value: str) -> AddedBackend:
    """What ADDR[=WEIGHT] says. Raises BadParameter."""
    address, equals, text = value.partition("=")
    if not equals:
        return AddedBackend(address, None)
    try:
        return AddedBackend(address, parse_weight(text))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def weighed(
    weights: Mapping[str, Fraction],
    added: Sequence[AddedBackend],
    removed: Sequence[str],
    what: str = "list",
) -> dict[str, Fraction]:
    """The weights of the new list, or of what else has slots. Raises Failed."""
    new = dict(weights)
    for address in removed:
        if address not in new:
            raise Failed(f"cannot remove {address}: the {what} has no such backend")
        del new[address]
    for each in added:
        if each.address in new and each.weight is None:
            raise Failed(
                f"cannot add {each.address}: the {what} has it; "
                f"{each.address}=2 gives it the weight 2"
            )
        new[each.address] = each.weight or Fraction(1)
    if not new:
        raise Failed(f"cannot remove {removed[-1]}: no backend would be left")
    return new


def summary(old: Sequence[str], new: Sequence[str]) -> list[str]:
    """What changes, a line for each backend that gains or loses slots."""
    before, after = Counter(old), Counter(new)
    moved = sum(a != b for a, b in zip(old, new, strict=True))
    changed = [each for each in {**before, **after} if before[each] != after[each]]
    changed.sort(key=by_numbers)
    lines = [f"{each}: {before[each]} → {after[each]} slots" for each in changed]
    return [*lines, f"{moved} of {len(new)} slots change their backend."]


@click.command()
@click.option(
    "--backends", metavar="FILE", required=True, type=click.Path(path_type=Path),
    help="The load balancer's list as it is.",
)  # fmt: skip
@click.option(
    "--slots", "count", metavar="N", type=click.IntRange(1, MOST_SLOTS),
    help="The number of slots; as it is by default, about 4096 for a plain list.",
)  # fmt: skip
@click.option(
    "--add", "added", metavar="ADDR[=WEIGHT]", callback=_added_backends, multiple=True,
    help="Add this backend, or give a backend another weight; 1 by default.",
)  # fmt: skip
@click.option(
    "--remove", "removed", metavar="ADDR", multiple=True,
    help="Give the slots of this backend to the others.",
)  # fmt: skip
def rebalance(
    backends: Path, count: int | None, added: tuple[AddedBackend, ...], removed: tuple[str, ...]
) -> None:
    """Print a list in which each backend has its share of the slots, and few domains move.

    The list goes to standard output as Lua, for init_backends.lua; `plan` shows which domains move.
    A new backend takes its share, and no other domain moves.
    """
    named = [*(each.address for each in added), *removed]
    if twice := [address for address, times in Counter(named).items() if times > 1]:
        raise click.UsageError(f"{twice[0]} is named twice")
    balancer = Placement(backends, Rule.STOCK)
    for each in added:
        if problem := balancer.problem(each.address):
            raise Failed(f"cannot add {each.address}: it {problem}")
    weights = {**weights_of(balancer.slots), **balancer.weights}
    old = stretched(balancer.slots, count or usual_count(balancer.slots))
    weights = weighed(weights, added, removed)
    try:
        new = rebalanced(old, weights)
    except TooFewSlots as error:
        raise Failed(
            f"cannot share out {len(old)} slots: {error} would have none; give more --slots"
        ) from error
    if complaint := balancer.complaint(new):
        raise Failed(f"cannot use the new list: {complaint}")
    if len(old) % len(balancer.slots):
        click.echo(
            f"warning: {len(old)} slots instead of {len(balancer.slots)} move most domains; "
            "only a multiple of the old number moves none",
            err=True,
        )
    click.echo("\n".join(summary(old, new)), err=True)
    head = _HEAD.format(count=len(new), backends=len(set(new)))
    click.echo(lua(head, new, weights, balancer.ports), nl=False)
