"""A group of commands that are imported one by one: aiohttp and rich take longer to import than all
the rest."""

import importlib
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import click


class Commands(click.Group):
    """A group of commands, each of which is imported when it is called. `table` has the module of
    each command, and what --help says of it. The module holds the command under its own name,
    behind which a `_` stands if Python has that name already. `meant` has what other programs call
    these commands."""

    def __init__(
        self, *, table: Mapping[str, tuple[str, str]], meant: Mapping[str, str], **rest: Any
    ) -> None:
        super().__init__(**rest)
        self.table = table
        self._meant = meant

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the table, in that order."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in self.table:
            return None
        module = importlib.import_module(self.table[cmd_name][0])
        name = cmd_name.replace("-", "_")
        command = getattr(module, name, None) or getattr(module, f"{name}_")
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that `args` begin with. An unknown one is an error with the likely one."""
        name = args[0]
        if name not in self.table and not ctx.resilient_parsing:
            similar = (
                [self._meant[name]]
                if name in self._meant
                else get_close_matches(name, self.table, n=1)
            )
            whole = f"{ctx.command_path} --help lists them all"
            cure = f"did you mean {similar[0]}?" if similar else whole
            ctx.fail(f"there is no command {name!r}; {cure}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in self.table.items()])
