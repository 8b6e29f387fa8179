"""`emperorctl plan`: what another list of backends would move, before it does.

`changes` is pure; the command around it reads the lists and asks for the domains.
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from rich.text import Text

from emperor.cli.arguments import placement_option
from emperor.cli.client import connect
from emperor.cli.failure import Failed, Unreachable
from emperor.cli.placement import Placement, Rule
from emperor.cli.records import parse
from emperor.cli.terminal import show, terminal
from emperor.model.domain import is_domain
from emperor.model.status import Report, as_json
from emperor.model.text import plain
from emperor.model.wildcard import is_wildcard

_MULTIPLE = "only a multiple of the old number moves none"
_DOWN = "a dead backend stays in the list: load balancers mark it down and spread its domains"


@dataclass(frozen=True, slots=True)
class Move:
    """A domain that another backend would serve."""

    domain: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What `emperorctl plan --json` prints. `files` are the Lua files that it comes from.
    `rendezvous` is how many would move if both lists were placed by rendezvous; null where they
    are. `slots` are the entries that name another backend; null where the lists differ in length,
    or have as many entries as backends. `warning` is for a list that looks like a mistake."""

    old: tuple[str, ...]
    new: tuple[str, ...]
    placement: Rule
    files: tuple[str, ...]
    domains: int
    moves: tuple[Move, ...]
    rendezvous: int | None
    slots: int | None
    warning: str | None


def warning(old: Sequence[str], new: Sequence[str]) -> str | None:
    """Why `new` looks like a mistake: it has nothing that `old` has not, or its number of slots
    moves most domains. The lists are given with all their entries."""
    if _has_slots(old) or _has_slots(new):
        if len(new) % len(old) == 0:
            return None
        return f"{len(new)} entries instead of {len(old)} move most domains; {_MULTIPLE}"
    if not set(new) <= set(old) or tuple(new) == tuple(old):
        return None
    if len(new) < len(old):
        return f"the new list is merely shorter; {_DOWN}"
    return "the new list has the same backends in another order, which moves domains for nothing"


def moved_slots(old: Sequence[str], new: Sequence[str]) -> int | None:
    """How many entries of two lists of slots differ; None for other lists."""
    if len(old) != len(new) or not (_has_slots(old) or _has_slots(new)):
        return None
    return sum(before != after for before, after in zip(old, new, strict=True))


def _has_slots(entries: Sequence[str]) -> bool:
    return len(set(entries)) < len(entries)


def changes(domains: Iterable[str], old: Placement, new: Placement) -> tuple[Move, ...]:
    """The domains that change their backend. Raises Failed."""
    placed = ((domain, old.backend(domain), new.backend(domain)) for domain in domains)
    return tuple(Move(*each) for each in placed if each[1] != each[2])


def summary(plan: Plan) -> list[Text]:
    """How many move, from where to where, and what rendezvous would have done."""
    lines = [Text(f"{_share(len(plan.moves), plan.domains)} would move.", style="bold")]
    if plan.warning:
        lines.append(Text.assemble(("warning", "yellow"), f": {plan.warning}"))
    if plan.slots:
        lines.append(Text(f"Slots that change their backend: {plan.slots}."))
    if plan.moves:
        lines += [Text(), *_flows(plan)]
    if plan.rendezvous is not None and plan.rendezvous < len(plan.moves):
        share = _share(plan.rendezvous, plan.domains)
        lines += [Text(), Text(f"If both lists were placed by rendezvous: {share}.")]
    return lines


def _share(moved: int, total: int) -> str:
    percent = f" ({100 * moved / total:.0f} %)" if total else ""
    return f"{moved} of {total} domains{percent}"


def _flows(plan: Plan) -> list[Text]:
    """A row for each pair of backends, in the order of the lists."""
    counted = Counter((move.before, move.after) for move in plan.moves)
    pairs = [(a, b) for a in plan.old for b in plan.new if counted[a, b]]
    width = max(len(entry) for entry in (*plan.old, *plan.new, "FROM"))
    rows = [("FROM", "TO", "DOMAINS"), *((a, b, str(counted[a, b])) for a, b in pairs)]
    lines = [Text(f"{a:<{width}}  {b:<{width}}  {count:>7}") for a, b, count in rows]
    lines[0].stylize("bold")
    return lines


def listing(moves: Sequence[Move], room: int | None) -> list[Text]:
    """A line for each move, in at most `room` lines."""
    shown = moves if room is None or len(moves) <= room else moves[: max(0, room - 1)]
    lines = [Text(f"{plain(move.domain)}: {move.before} → {move.after}") for move in shown]
    if len(shown) < len(moves):
        lines.append(Text(f"… and {len(moves) - len(shown)} more: --json", style="dim"))
    return lines


@click.command()
@click.option(
    "--backends", metavar="OLD NEW", required=True, nargs=2, type=click.Path(path_type=Path),
    help="The load balancer's list as it is, and as it would be.",
)  # fmt: skip
@placement_option
@click.option(
    "--vassals-dir", metavar="DIR", type=click.Path(path_type=Path),
    help="Take the domains from this folder of inis; emperord need not run then.",
)  # fmt: skip
@click.option("--json", "raw", is_flag=True, help="JSON, with every domain that moves.")
@click.pass_obj
def plan(
    run_dir: Path,
    backends: tuple[Path, Path],
    placement: Rule,
    vassals_dir: Path | None,
    raw: bool,
) -> None:
    """Show which of this machine's domains another list of backends would move, and where to.

    A domain that moves needs its ini and its files at the new backend, and sleeps there at first.
    """
    old, new = (Placement(file, placement) for file in backends)
    names = asyncio.run(_served(run_dir)) if vassals_dir is None else _named(vassals_dir)
    # A wildcard is no host, and is needed at each backend.
    domains = [name for name in names if not is_wildcard(name)]
    rendezvous = None
    if placement is not Rule.RENDEZVOUS:
        before, after = (Placement(file, Rule.RENDEZVOUS) for file in backends)
        rendezvous = len(changes(domains, before, after))
    planned = Plan(
        old=old.entries,
        new=new.entries,
        placement=placement,
        files=tuple(dict.fromkeys(map(str, (*old.files, *new.files)))),
        domains=len(domains),
        moves=changes(domains, old, new),
        rendezvous=rendezvous,
        slots=moved_slots(old.slots, new.slots),
        warning=warning(old.slots, new.slots),
    )
    if raw:
        click.echo(json.dumps(as_json(planned)))
    else:
        _print(planned)


def _print(planned: Plan) -> None:
    console = terminal()
    lines = summary(planned)
    room = max(2, console.height - len(lines) - 2) if console.is_terminal else None
    domains = listing(planned.moves, room)
    show(console, [*lines, *([Text()] if domains else []), *domains])


async def _served(run_dir: Path) -> list[str]:
    try:
        async with connect(run_dir) as client:
            report = parse(Report, await client.status())
    except Unreachable as error:
        raise Unreachable(f"{error}; --vassals-dir DIR does without it") from error
    return [vassal.name for vassal in report.vassals]


def _named(folder: Path) -> list[str]:
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise Failed(f"cannot read {folder}: {error.strerror}") from error
    domains = [name.removesuffix(".ini") for name in names if name.endswith(".ini")]
    return [domain for domain in domains if is_domain(domain)]
