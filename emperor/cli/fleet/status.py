"""`emperorctl fleet status`: which backends are up, and which slots they have."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.text import Text

from emperor.cli.fleet.session import NO_BALANCER, Fleet, run
from emperor.cli.terminal import show, terminal
from emperor.model import text
from emperor.model.balancer_state import BalancerState
from emperor.model.status import as_json

_HEADER = (
    "ADDRESS",
    "STATE",
    "FOR",
    "WEIGHT",
    "SLOTS",
    "SHARE",
    "AWAKE",
    "CORES",
    "MEM",
    "VERSION",
)
_STYLE = {"up": "green", "down": "bold red", "drains": "yellow", "new": "cyan"}


@dataclass(frozen=True, slots=True)
class FleetBackend:
    """A backend in `emperorctl fleet status --json`. `state` is up, drains, down, or new: up, and
    without slots. `since` is when that began; null if nobody has seen it."""

    address: str
    state: str
    since: datetime | None
    weight: float
    slots: int
    share: float
    awake: int | None
    cores: int | None
    memory: int | None
    version: str | None


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """What `emperorctl fleet status --json` prints; `serial` is null without a table. `balancers`
    are those whose agents run."""

    serial: int | None
    slots: int
    backends: tuple[FleetBackend, ...]
    balancers: tuple[BalancerState, ...]


def status_of(fleet: Fleet, balancers: Sequence[BalancerState]) -> FleetStatus:
    """The fleet as the registry has it: the backends of the table, then the new ones, each in the
    order of their addresses."""
    table = fleet.table
    total = len(table.slots) if table else 0
    listed = sorted(table.backends if table else (), key=text.by_numbers)
    new = sorted((each for each in fleet.view.members if each not in listed), key=text.by_numbers)
    counts = Counter(table.slots if table else ())
    return FleetStatus(
        table.serial if table else None,
        total,
        tuple(_backend(fleet, each, counts[each], total) for each in (*listed, *new)),
        tuple(balancers),
    )


def _backend(fleet: Fleet, address: str, slots: int, total: int) -> FleetBackend:
    member, table = fleet.view.members.get(address), fleet.table
    share = slots / total if total else 0.0
    weight = table.weight(address) if table and slots else member.weight if member else 1
    if member is None:
        since = _moment(fleet.view.down_since().get(address))
        return FleetBackend(
            address, "down", since, float(weight), slots, share, None, None, None, None
        )
    state = "drains" if member.drains else "up" if slots else "new"
    size = member.capacity
    return FleetBackend(
        address, state, _moment(member.since), float(weight), slots, share, size.awake, size.cores,
        size.memory, member.version,
    )  # fmt: skip


def _moment(seconds: int | None) -> datetime | None:
    """A time that anybody may have written into the registry."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None


@click.command()
@click.option("--json", "raw", is_flag=True, help="JSON.")
@click.pass_obj
def status(access_file: Path, raw: bool) -> None:
    """Show which backends are up, since when, whether they drain, and their share of the slots.

    A backend that is down keeps its slots: balancers pass it over until it is back.
    """

    async def _status(fleet: Fleet) -> FleetStatus:
        return status_of(fleet, await fleet.balancers())

    found = run(_status, access_file)
    if raw:
        click.echo(json.dumps(as_json(found)))
        return
    console = terminal()
    show(console, lines(found, datetime.now(UTC)))


def lines(found: FleetStatus, now: datetime) -> list[Text]:
    """The table of backends."""
    rows = [_HEADER, *(_cells(each, now) for each in found.backends)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    shown = []
    for number, row in enumerate(rows):
        cells = [
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        line = Text("  ".join(cells).rstrip())
        if number:
            begin = widths[0] + 2
            line.stylize(_STYLE[row[1]], begin, begin + len(row[1]))
        else:
            line.stylize("bold")
        shown.append(line)
    table = f"Table {found.serial}, {found.slots} slots." if found.serial else _NO_TABLE
    balancers = [_balancer(each, found.serial) for each in found.balancers]
    if found.serial and not balancers:
        balancers = [Text(NO_BALANCER, "yellow")]
    return [*shown, Text(table), *balancers]


def _balancer(state: BalancerState, serial: int | None) -> Text:
    told = Text(f"Balancer {text.plain(state.name)}: table {state.serial}")
    if state.problem or state.serial != serial:
        told.append(f"; {text.plain(state.problem)}" if state.problem else "")
        told.stylize("yellow")
    return told


_NO_TABLE = "There is no table of slots; `emperorctl fleet slots init` makes one."


def _cells(backend: FleetBackend, now: datetime) -> Sequence[str]:
    return (
        text.plain(backend.address),
        backend.state,
        text.since(backend.since, now),
        f"{backend.weight:g}",
        str(backend.slots),
        f"{100 * backend.share:.1f} %",
        text.NOTHING if backend.awake is None else str(backend.awake),
        text.NOTHING if backend.cores is None else str(backend.cores),
        text.memory(backend.memory),
        text.plain(backend.version or text.NOTHING),
    )
