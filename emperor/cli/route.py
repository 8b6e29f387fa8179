"""`emperorctl route`: which backend a host belongs to, and which others stand in for it."""

import json
from dataclasses import dataclass
from pathlib import Path

import click
from rich.text import Text

from emperor.cli.arguments import complete_domain, placement_option
from emperor.cli.failure import Failed
from emperor.cli.placement import Placement, Rule
from emperor.cli.terminal import show, terminal
from emperor.model.domain import canonical_host
from emperor.model.status import as_json


@dataclass(frozen=True, slots=True)
class Route:
    """Where a host belongs. `number` is the backend's place among all backends, `slot` the host's
    place in the list, both from 1 on; by rendezvous a host has no slot, null. `substitutes` are in
    the order in which they are tried."""

    host: str
    backend: str
    number: int
    slot: int | None
    substitutes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Routes:
    """What `emperorctl route --json` prints. `files` are the Lua files that it comes from."""

    backends: tuple[str, ...]
    placement: Rule
    files: tuple[str, ...]
    routes: tuple[Route, ...]


def route_of(host: str, placement: Placement) -> Route:
    """The backend of a host in any spelling. Raises Failed if nginx would refuse the host."""
    if not host.isascii():
        raise Failed(f"cannot route {host}: browsers send it in ASCII; give that, xn--…")
    try:
        name = canonical_host(host)
    except ValueError as error:
        raise Failed(f"cannot route {host!r}: nginx answers 400 to it: {error}") from error
    backend = placement.backend(name)
    number, slot = placement.number(backend), placement.slot(name)
    return Route(name, backend, number, slot, placement.substitutes(name, backend))


def line(route: Route, total: int, slots: int) -> Text:
    """A route, as it is printed; of a list with more slots than backends, with the slot."""
    place = f"{route.number} of {total}"
    if slots > total and route.slot:
        place += f"; slot {route.slot} of {slots}"
    text = Text.assemble(f"{route.host}: ", (route.backend, "bold"), f" ({place})")
    return text.append(f", then {', '.join(route.substitutes)}" if route.substitutes else "")


@click.command()
@click.argument(
    "hosts", metavar="HOST...", nargs=-1, required=True, shell_complete=complete_domain
)  # fmt: skip
@click.option(
    "--backends", metavar="FILE", required=True, type=click.Path(path_type=Path),
    help="The load balancer's list, init_backends.lua; `emperorctl fleet route` needs none.",
)  # fmt: skip
@placement_option
@click.option("--json", "raw", is_flag=True, help="JSON, with the Lua files that were run.")
def route(hosts: tuple[str, ...], backends: Path, placement: Rule, raw: bool) -> None:
    """Show which backend each HOST belongs to, and which others stand in for it, in order.

    The load balancer's own Lua files are run for this: those beside FILE, else the installed ones.
    """
    balancer = Placement(backends, placement)
    routes: list[Route] = []
    failures: list[Failed] = []
    for host in hosts:
        try:
            routes.append(route_of(host, balancer))
        except Failed as failure:
            failures.append(failure)
    if raw:
        files = tuple(map(str, balancer.files))
        answer = Routes(balancer.entries, placement, files, tuple(routes))
        click.echo(json.dumps(as_json(answer)))
    elif routes:
        total, slots = len(balancer.entries), len(balancer.slots)
        show(terminal(), [line(route, total, slots) for route in routes])
    if failures:
        raise ExceptionGroup("cannot route every host", failures)
