"""The fleet as the registry has it, and how a command changes the table of slots."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import click

from emperor.cli.failure import Failed, Unreachable
from emperor.cli.rebalance import summary
from emperor.cli.registry_failures import registry_failures
from emperor.model.balancer_state import BalancerState, BrokenState
from emperor.model.balancer_state import decoded as state_of
from emperor.model.registry_keys import Keys
from emperor.model.slot_table import (
    NO_TABLE,
    BrokenTable,
    SlotTable,
    decoded,
    encoded,
    forced,
    objection,
    table_problem,
)
from emperor.model.text import plain
from emperor.model.wildcard import is_wildcard
from emperor.registry.access import load_access
from emperor.registry.etcd import Etcd
from emperor.registry.fleet_view import FleetView
from emperor.registry.paging import pages
from emperor.registry.port import CannotReach, Engine, Outdated, RegistryRefused, Unsure

T = TypeVar("T")
NO_BALANCER = "No balancer tells which table it has."
# TAB must not block the shell when the registry hangs.
_COMPLETION_SECONDS = 1.0
# A balancer takes a table up in milliseconds, and its nginx within a second.
_WAIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """The registry while it is open; `table` is None if it has none, and `revision` is that of the
    key of slots."""

    engine: Engine
    keys: Keys
    view: FleetView
    table: SlotTable | None
    revision: int

    async def balancers(self, after: int = 0) -> list[BalancerState]:
        """What the agents of balancers say; none that cannot be read. A problem that one has told
        up to that revision is left out."""
        found = []
        async for page in pages(self.engine, self.keys.balancers()):
            for entry in page.entries:
                with suppress(BrokenState):
                    state = state_of(self.keys.address(entry.key), entry.value)
                    is_new = entry.revision > after
                    found.append(state if is_new else replace(state, problem=""))
        return found

    def existing(self) -> SlotTable:
        """The table. Raises Failed."""
        if self.table is None:
            raise Failed(NO_TABLE)
        return self.table


@dataclass(frozen=True, slots=True)
class How:
    """How a change is made: `is_dry` only shows it, `force` has balancers take it however much it
    changes, `is_sure` asks no question."""

    is_dry: bool = False
    force: bool = False
    is_sure: bool = False


@asynccontextmanager
async def opened(access_file: Path, must_be_whole: bool = True) -> AsyncIterator[Fleet]:
    """The fleet of the registry that the file names. A table that cannot be used counts as none if
    it need not be whole. Raises Failed."""
    with registry_failures():
        access = load_access(access_file)
        async with Etcd(access) as engine:
            keys = Keys(access.prefix)
            view = FleetView(engine, keys)
            await view.read()
            found = view.table
            table = _table(found.value, must_be_whole) if found else None
            yield Fleet(engine, keys, view, table, found.revision if found else 0)


def _table(value: bytes, must_be_whole: bool) -> SlotTable | None:
    try:
        return decoded(value)
    except BrokenTable as error:
        if not must_be_whole:
            return None
        raise Failed(
            f"cannot use the registry's table of slots: {error};"
            " `emperorctl fleet slots init --force` makes another one"
        ) from error


def run(body: Callable[[Fleet], Awaitable[T]], access_file: Path, must_be_whole: bool = True) -> T:
    """Run `body` with the fleet of an open registry, and return its result. Raises Failed."""

    async def _run() -> T:
        async with opened(access_file, must_be_whole) as fleet:
            return await body(fleet)

    return asyncio.run(_run())


async def change(
    fleet: Fleet, after: SlotTable, how: How, question: str = "", told: str = ""
) -> None:
    """Write another table, and show what it changes, after the line `told`. Raises Failed."""
    if problem := table_problem(after):
        raise Failed(f"cannot use the new table: {problem}")
    before = fleet.table
    if how.force or before is None:
        after = forced(after)
    elif why := objection(after, before):
        raise Failed(f"balancers would refuse that: {why}; --force has them take it")
    shown = "\n".join([*([told] if told else []), *_difference(before, after)])
    if how.is_dry:
        click.echo(shown)
        if before:
            click.echo(await _domains(fleet, before, after))
        click.echo("Nothing was changed.")
        return
    is_asked = bool(question) and not how.is_sure
    if is_asked:
        click.echo(f"This would change:\n{shown}")
        _ask(question)
    revision = await _write(fleet, after)
    if not is_asked:
        click.echo(shown)
    click.echo(f"Table {after.serial} is in the registry.")
    await _tell_balancers(fleet, after.serial, revision)


def _difference(before: SlotTable | None, after: SlotTable) -> list[str]:
    if before is None or len(before.slots) != len(after.slots):
        return [f"{len(after.slots)} slots of {len(after.backends)} backends."]
    return summary(before.slots, after.slots)


def _ask(question: str) -> None:
    """Raises Failed unless somebody says yes."""
    if not sys.stdin.isatty():
        raise Failed(f"nobody can be asked here: {question} --yes says yes")
    if not click.confirm(question):
        raise Failed("nothing was changed")


async def _write(fleet: Fleet, after: SlotTable) -> int:
    """Returns the revision. Raises Failed."""
    key = fleet.keys.slots()
    try:
        return await fleet.engine.put({key: encoded(after)}, {key: fleet.revision})
    except Outdated as error:
        raise Failed(
            "cannot change the slots: somebody else has changed them at the same time; look at"
            " `emperorctl fleet status`, then try again"
        ) from error
    except RegistryRefused as error:
        raise Failed(f"cannot change the slots: {error}") from error
    except Unsure as error:
        raise Unreachable(
            f"cannot change the slots: {error}; it may have happened all the same: look at"
            " `emperorctl fleet status`"
        ) from error
    except CannotReach as error:
        raise Unreachable(f"cannot change the slots: {error}") from error


async def _tell_balancers(fleet: Fleet, serial: int, revision: int) -> None:
    """Tell which balancers have taken a table up, and which have not, after some seconds at most.
    It was written at that revision."""
    if not await fleet.balancers():
        click.echo(NO_BALANCER)
        return
    with suppress(TimeoutError):
        watch = fleet.engine.watch([fleet.keys.balancers()], revision)
        async with asyncio.timeout(_WAIT_SECONDS), aclosing(watch) as news:
            async for _ in news:
                # A problem from before was one with another table, or with none.
                told = await fleet.balancers(after=revision)
                if all(each.serial == serial or each.problem for each in told):
                    break
    known = await fleet.balancers()
    lacking = [each for each in known if not _has(each, serial)]
    if have := [plain(each.name) for each in known if each not in lacking]:
        click.echo(f"Balancers that have it: {', '.join(have)}.")
    for each in lacking:
        why = plain(each.problem) or f"it has table {each.serial}, and does not say why"
        click.echo(f"warning: {plain(each.name)} does not have it: {why}", err=True)


def _has(state: BalancerState, serial: int) -> bool:
    """Whether it has that table, or a newer one of the same registry. One that has followed a
    registry which was lost may have a higher serial, and refuses the table."""
    return state.serial == serial or (state.serial > serial and not state.problem)


async def _domains(fleet: Fleet, before: SlotTable, after: SlotTable) -> str:
    """How many names in the registry another table moves."""
    total = moved = 0
    async for page in pages(fleet.engine, fleet.keys.vassals()):
        for entry in page.entries:
            domain = fleet.keys.domain(entry.key)
            if not is_wildcard(domain):
                total += 1
                moved += before.backend_of(domain) != after.backend_of(domain)
    percent = f" ({100 * moved / total:.0f} %)" if total else ""
    return f"{moved} of {total} domains in the registry{percent} would move."


def complete_backend(context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
    """The addresses that begin with `typed`: of the table, and of backends that are up."""
    parent = context.parent
    if parent is None:
        return []

    async def _addresses() -> list[str]:
        async with asyncio.timeout(_COMPLETION_SECONDS), opened(parent.params["access_file"]) as it:
            listed = it.table.backends if it.table else ()
            return [*dict.fromkeys([*listed, *it.view.members])]

    with suppress(Failed, TimeoutError):
        return [each for each in asyncio.run(_addresses()) if each.startswith(typed)]
    return []
