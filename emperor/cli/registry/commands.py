"""The group `emperorctl registry`."""

from dataclasses import dataclass
from pathlib import Path

import click

from emperor.cli.commands import Commands
from emperor.cli.registry_option import registry_option

_PACKAGE = "emperor.cli.registry"
COMMANDS = {
    "put": (f"{_PACKAGE}.put", "Put the ini of a domain there, or change it."),
    "get": (f"{_PACKAGE}.get", "Print the ini of a domain."),
    "edit": (f"{_PACKAGE}.edit", "Change the ini of a domain in your editor."),
    "list": (f"{_PACKAGE}.listing", "List the domains."),
    "rm": (f"{_PACKAGE}.rm", "Take domains out, and their apps off all backends."),
    "import": (f"{_PACKAGE}.importing", "Put all inis of a folder there."),
    "export": (f"{_PACKAGE}.exporting", "Write all inis into a folder."),
    "verify": (f"{_PACKAGE}.verify", "Check all entries: signatures, owners, keys."),
    "key": (f"{_PACKAGE}.key", "Print the keys in etcd of domains, for permissions."),
    "keygen": (f"{_PACKAGE}.keygen", "Make a key that signs entries."),
}
MEANT = {"add": "put", "show": "get", "cat": "get", "ls": "list", "remove": "rm", "delete": "rm"}


@dataclass(frozen=True, slots=True)
class RegistryOptions:
    """Where the daemon's run-dir is, and the file that says how to reach the registry."""

    run_dir: Path
    access_file: Path


@click.group(cls=Commands, table=COMMANDS, meant=MEANT)
@registry_option
@click.pass_context
def registry(context: click.Context, access_file: Path) -> None:
    """Keep the inis of a fleet in one place, from which each backend fetches what it is asked for.

    \b
    emperorctl registry put www.example.com www.example.com.ini --owner shop
    emperorctl registry get www.example.com
    emperorctl registry list --owner shop
    emperorctl registry rm www.example.com

    The registry is a cluster of etcd. Each change of a domain has a serial, and replaces only what
    it was made from.
    """
    context.obj = RegistryOptions(context.obj, access_file)
