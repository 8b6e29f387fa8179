"""`emperorctl fleet add`, `remove`, `move` and `confirm`: the next table of slots."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from emperor.cli.failure import Failed
from emperor.cli.fleet.session import Fleet, How, change, complete_backend, run
from emperor.cli.rebalance import AddedBackend, added_backend, weighed
from emperor.model.backend_address import address_problem
from emperor.model.domain import is_domain
from emperor.model.registration import slot_of
from emperor.model.slot_table import SlotTable, weights_in, with_slot, with_weights, without
from emperor.model.slots import TooFewSlots

F = TypeVar("F", bound=Callable[..., Any])


def how_options(command: F) -> F:
    """`is_dry`, `force` and `is_sure`."""
    for option in (
        click.option("-y", "--yes", "is_sure", is_flag=True, help="Ask no question."),
        click.option(
            "--force", is_flag=True, help="Have balancers take it, however much it changes."
        ),
        click.option("--dry-run", "is_dry", is_flag=True, help="Show what would move, no more."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument(
    "backends", metavar="ADDR[=WEIGHT]...", nargs=-1, required=True, shell_complete=complete_backend
)
@how_options
@click.pass_obj
def add(access_file: Path, /, backends: tuple[str, ...], **how: bool) -> None:
    """Give each backend its share of the slots, or another weight; no other slot moves.

    Without =WEIGHT the weight is the backend's own fleet-weight, or 1.
    """
    wanted = tuple(map(added_backend, backends))

    async def _add(fleet: Fleet) -> None:
        table = fleet.existing()
        for each in wanted:
            if problem := address_problem(each.address):
                raise Failed(f"cannot add {each.address}: it {problem}")
        named = [
            each if each.weight or each.address in table.backends else _weighed(fleet, each)
            for each in wanted
        ]
        weights = weighed(weights_in(table), named, (), "table")
        absent = [each.address for each in wanted if each.address not in fleet.view.members]
        question = (
            f"{', '.join(absent)}: not registered, so nobody knows that it is up."
            " Give it its slots all the same?"
        )
        await change(fleet, shared(lambda: with_weights(table, weights), table), How(**how),
                     question if absent else "")  # fmt: skip

    run(_add, access_file)


def _weighed(fleet: Fleet, backend: AddedBackend) -> AddedBackend:
    member = fleet.view.members.get(backend.address)
    return AddedBackend(backend.address, member.weight if member else None)


@click.command()
@click.argument(
    "backends", metavar="ADDR...", nargs=-1, required=True, shell_complete=complete_backend
)
@how_options
@click.pass_obj
def remove(access_file: Path, /, backends: tuple[str, ...], **how: bool) -> None:
    """Give the slots of each backend to the others, evenly; no other slot moves.

    A backend that is down for a while needs no removal: balancers pass it over, and its domains
    come back with it.
    """

    async def _remove(fleet: Fleet) -> None:
        table = fleet.existing()
        weighed(weights_in(table), (), backends, "table")  # fails for one that the table has not
        members = fleet.view.members
        serving = [each for each in backends if each in members and not members[each].drains]
        question = (
            f"{', '.join(serving)}: up, and does not drain (`emperorctl drain` there)."
            " Take its slots all the same?"
        )
        await change(fleet, shared(lambda: without(table, backends), table), How(**how),
                     question if serving else "")  # fmt: skip

    run(_remove, access_file)


@click.command()
@click.argument("slot", metavar="SLOT|DOMAIN")
@click.argument("backend", metavar="ADDR", shell_complete=complete_backend)
@how_options
@click.pass_obj
def move(access_file: Path, /, slot: str, backend: str, **how: bool) -> None:
    """Give one slot to another backend: that number, or the slot of that domain.

    The other domains of the slot move too. `add` and `remove` leave the slot where it is, unless
    its backend would have more than one slot too many.
    """

    async def _move(fleet: Fleet) -> None:
        table = fleet.existing()
        if backend not in table.backends:
            raise Failed(f"cannot move a slot to {backend}: it has none; `fleet add` gives it some")
        number = _slot(slot, table)
        before = table.slots[number - 1]
        if before == backend:
            raise Failed(f"slot {number} belongs to {backend} already")
        after = with_slot(table, number, backend)
        await change(fleet, after, How(**how), told=f"Slot {number}: {before} → {backend}")

    run(_move, access_file)


@click.command()
@click.option(
    "--serial", metavar="N", type=click.IntRange(1),
    help="Give the table at least this serial; by default the next one.",
)  # fmt: skip
@click.pass_obj
def confirm(access_file: Path, serial: int | None) -> None:
    """Have all balancers take the table as it is, even if they have refused it.

    A balancer refuses a table in which half of the backends or more are gone or new at once. It may
    see several changes as one, if it was away meanwhile.
    """

    async def _confirm(fleet: Fleet) -> None:
        table = fleet.existing()
        number = max(table.serial + 1, serial or 1)
        await change(fleet, replace(table, serial=number), How(force=True))

    run(_confirm, access_file)


def shared(make: Callable[[], SlotTable], table: SlotTable) -> SlotTable:
    """The table that is made of `table`. Raises Failed."""
    try:
        return make()
    except TooFewSlots as error:
        raise Failed(
            f"cannot share out {len(table.slots)} slots: {error} would have none;"
            " `emperorctl fleet slots init --slots` makes a table with more"
        ) from error


def _slot(text: str, table: SlotTable) -> int:
    count = len(table.slots)
    if text.isdecimal():
        if 1 <= int(text) <= count:
            return int(text)
        raise Failed(f"there is no slot {text}: the table has slots 1 to {count}")
    host = text.lower().removesuffix(".")
    if not is_domain(host):
        raise Failed(f"{text!r} is neither a slot nor a host name")
    return slot_of(host, count) + 1
