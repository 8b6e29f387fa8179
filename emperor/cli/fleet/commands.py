"""The groups `emperorctl fleet` and `emperorctl fleet slots`."""

from pathlib import Path

import click

from emperor.cli.commands import Commands
from emperor.cli.registry_option import registry_option

_PACKAGE = "emperor.cli.fleet"
COMMANDS = {
    "status": (f"{_PACKAGE}.status", "Show which backends are up, and their slots."),
    "route": (f"{_PACKAGE}.route", "Show which backend a host belongs to."),
    "slots": (f"{_PACKAGE}.slots", "Make the table of slots, or print it."),
    "add": (f"{_PACKAGE}.changes", "Give backends their share of the slots."),
    "remove": (f"{_PACKAGE}.changes", "Give the slots of backends to the others."),
    "move": (f"{_PACKAGE}.changes", "Give one slot to another backend."),
    "confirm": (f"{_PACKAGE}.changes", "Have balancers take the table that they refuse."),
}
MEANT = {
    "list": "status",
    "ls": "status",
    "rm": "remove",
    "init": "slots",
    "join": "add",
    "where": "route",
}


@click.group(cls=Commands, table=COMMANDS, meant=MEANT)
@registry_option
@click.pass_context
def fleet(context: click.Context, access_file: Path) -> None:
    """Show the backends of a fleet, and say which of them has which slots.

    \b
    emperorctl fleet status
    emperorctl fleet route www.example.com
    emperorctl fleet slots init /etc/nginx/lua/init_backends.lua
    emperorctl fleet add 192.0.2.14 --dry-run
    emperorctl fleet remove 192.0.2.12

    A domain belongs to a slot by its hash, and the table of slots names the backend of each slot.
    The load balancers take each change up within seconds (emperord-balancer(8)).
    """
    context.obj = access_file
