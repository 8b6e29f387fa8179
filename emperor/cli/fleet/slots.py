"""`emperorctl fleet slots`: the first table of slots, and the table as a list for nginx."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import click

from emperor.cli.commands import Commands
from emperor.cli.failure import Failed
from emperor.cli.fleet.session import Fleet, How, change, run
from emperor.cli.rebalance import added_backend
from emperor.model.balancer_list import written
from emperor.model.slot_table import MOST_SLOTS, SlotTable
from emperor.model.slots import TooFewSlots, rebalanced, stretched, usual_count, weights_of

_MODULE = "emperor.cli.fleet.slots"
COMMANDS = {
    "init": (_MODULE, "Make the first table, from a list of backends."),
    "show": (_MODULE, "Print the table as a list for nginx."),
}


@click.group(cls=Commands, table=COMMANDS, meant={"print": "show", "list": "show", "new": "init"})
def slots() -> None:
    """Make the table of slots in the registry, or print it.

    A plain list stays what it is: the table has a multiple of its length, and no domain moves by
    that alone.
    """


@click.command()
@click.argument("backends", metavar="FILE|ADDR[=WEIGHT]...", nargs=-1, required=True)
@click.option(
    "--slots", "count", metavar="N", type=click.IntRange(1, MOST_SLOTS),
    help="The number of slots; about 4096 by default, or as the list has it.",
)  # fmt: skip
@click.option(
    "--ports", metavar="HTTP HTTPS", nargs=2, type=click.IntRange(1, 65535),
    help="The ports of backends without one, if not 80 and 443.",
)  # fmt: skip
@click.option(
    "--serial", metavar="N", type=click.IntRange(1),
    help="Give the table this serial, or a higher one.",
)  # fmt: skip
@click.option("--dry-run", "is_dry", is_flag=True, help="Change nothing.")
@click.option("--force", is_flag=True, help="Replace a table that is there.")
@click.pass_obj
def init(
    access_file: Path,
    /,
    backends: tuple[str, ...],
    count: int | None,
    ports: tuple[int, int] | None,
    serial: int | None,
    **how: bool,
) -> None:
    """Make the table of slots, from FILE, a list of a load balancer, or from addresses.

    With a FILE no domain moves. A balancer takes no table whose serial is not higher than that of
    its own: after the registry was lost, give a --serial above what `emperord-balancer` tells.
    """
    made = _of_file(Path(backends[0]), count) if _is_file(backends) else _of(backends, count)

    async def _init(fleet: Fleet) -> None:
        before = fleet.table
        if fleet.revision and not how["force"]:
            raise Failed(
                "there is a table of slots already; `emperorctl fleet add` and `remove` change it,"
                " --force replaces it"
            )
        number = max(serial or 1, before.serial + 1 if before else 1)
        table = SlotTable(number, made.slots, made.weights, ports or made.ports)
        await change(fleet, table, How(is_dry=how["is_dry"], force=True))

    run(_init, access_file, must_be_whole=False)


@click.command()
@click.pass_obj
def show(access_file: Path) -> None:
    """Print the table as a list for nginx, as emperord-balancer writes it."""

    async def _show(fleet: Fleet) -> None:
        click.echo(written(fleet.existing()), nl=False)

    run(_show, access_file)


def _is_file(backends: tuple[str, ...]) -> bool:
    return len(backends) == 1 and ("/" in backends[0] or backends[0].endswith(".lua"))


def _of_file(file: Path, count: int | None) -> SlotTable:
    """The table that a list of a balancer stands for. Raises Failed."""
    # lupa is imported only where Lua is run.
    from emperor.cli.placement import Placement, Rule  # noqa: PLC0415

    listed = Placement(file, Rule.STOCK)
    weights = listed.weights or weights_of(listed.slots)
    whole = stretched(listed.slots, count or usual_count(listed.slots))
    return SlotTable(1, whole, _other_than_one(weights), listed.ports)


def _of(backends: tuple[str, ...], count: int | None) -> SlotTable:
    """The table of these addresses. Raises Failed."""
    wanted = [added_backend(each) for each in backends]
    weights = {each.address: each.weight or Fraction(1) for each in wanted}
    if len(weights) < len(wanted):
        raise Failed("cannot make a table: a backend is named twice; name each once")
    whole = stretched(list(weights), count or usual_count(list(weights)))
    try:
        return SlotTable(1, rebalanced(whole, weights), _other_than_one(weights))
    except TooFewSlots as error:
        raise Failed(f"{error} would have no slot; give more --slots") from error


def _other_than_one(weights: Mapping[str, Fraction]) -> dict[str, Fraction]:
    return {backend: weight for backend, weight in weights.items() if weight != 1}
