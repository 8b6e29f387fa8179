"""`emperorctl fleet route`: which backend a host belongs to, by the table in the registry."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from emperor.cli.arguments import complete_domain
from emperor.cli.failure import Failed
from emperor.cli.fleet.session import Fleet, run
from emperor.cli.placement import Placement, Rule
from emperor.cli.route import Route, line, route_of
from emperor.cli.terminal import show, terminal
from emperor.model.balancer_list import written
from emperor.model.member import Member
from emperor.model.slot_table import SlotTable


@click.command()
@click.argument(
    "hosts", metavar="HOST...", nargs=-1, required=True, shell_complete=complete_domain
)  # fmt: skip
@click.pass_obj
def route(access_file: Path, hosts: tuple[str, ...]) -> None:
    """Show which backend each HOST belongs to, which others stand in for it, in order, and which of
    these are down or drain.

    It needs no list of a load balancer: it takes the table of slots in the registry.
    """

    async def _read(fleet: Fleet) -> tuple[SlotTable, Mapping[str, Member]]:
        return fleet.existing(), dict(fleet.view.members)

    table, members = run(_read, access_file)
    placement = _placement(table)
    lines, failures = [], []
    for host in hosts:
        try:
            found = _with_states(route_of(host, placement), members)
        except Failed as failure:
            failures.append(failure)
        else:
            lines.append(line(found, len(placement.entries), len(placement.slots)))
    show(terminal(), lines)
    if failures:
        raise ExceptionGroup("cannot route every host", failures)


def _placement(table: SlotTable) -> Placement:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "backends.lua"
        file.write_text(written(table), encoding="utf-8")
        return Placement(file, Rule.STOCK)


def _with_states(route: Route, members: Mapping[str, Member]) -> Route:
    """The route, with what keeps visitors from a backend."""

    def told(address: str) -> str:
        member = members.get(address)
        if member is None:
            return f"{address} (down)"
        return f"{address} (drains)" if member.drains else address

    substitutes = tuple(map(told, route.substitutes))
    return replace(route, backend=told(route.backend), substitutes=substitutes)
