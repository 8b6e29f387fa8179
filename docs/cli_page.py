"""Writes docs/emperorctl.md from the commands themselves: what `emperorctl COMMAND --help` says."""

import inspect
import re
import textwrap
from collections.abc import Iterator

import click

from docs.folding import folded, folded_item
from emperor.cli.commands import Commands
from emperor.cli.main import COMMANDS, emperorctl

# click's mark of a paragraph whose lines stay as they are.
_AS_IT_IS = "\b\n"

_PAGE = """\
# emperorctl

<!-- Written by `make docs` from emperor/cli; do not edit. -->

`emperorctl` shows and steers the daemon of this machine. `emperorctl COMMAND --help` prints what
stands here, and emperorctl(1) says more. `emperorctl --run-dir DIR COMMAND` asks a daemon whose
`run-dir` is not `/run/emperord`; the variable `EMPERORD_RUN_DIR` does the same.

| command | what it does |
|---|---|
{summary}

The exit status is 0 if all is done, 1 if something failed, 2 for wrong usage, 3 if there is no such
vassal, and 4 if emperord, or the registry, cannot be reached.
"""


def commands() -> str:
    """The whole of emperorctl.md."""
    rows = (f"| [{name}](#{name}) | {text} |" for name, (_, text) in COMMANDS.items())
    context = click.Context(emperorctl, info_name="emperorctl")
    sections = (part for name in COMMANDS for part in _section(context, emperorctl, name))
    return _PAGE.format(summary="\n".join(rows)) + "".join(f"\n{part}\n" for part in sections)


def _section(context: click.Context, group: click.Group, name: str) -> Iterator[str]:
    """The section of a command, and those of the commands in it; `name` has all its words."""
    command = group.get_command(context, name.rpartition(" ")[2])
    assert command is not None
    yield from _told(command, name)
    if isinstance(command, Commands):
        for each in command.table:
            yield from _section(context, command, f"{name} {each}")


def _told(command: click.Command, name: str) -> Iterator[str]:
    """The section of one command, whose name may have several words."""
    options = [each for each in command.params if isinstance(each, click.Option)]
    words = [_spelled(each) if each.required else f"[{_spelled(each)}]" for each in options]
    words += [_value(each) for each in command.params if isinstance(each, click.Argument)]
    words += ["COMMAND"] if isinstance(command, Commands) else []
    yield f"{'###' if ' ' in name else '##'} {name}"
    yield f"```text\n{folded(' '.join(['emperorctl', name, *words]), '  ')}\n```"
    yield from (_paragraph(each) for each in inspect.cleandoc(command.help or "").split("\n\n"))
    if options:
        yield "\n".join(_option(each) for each in options)


def _paragraph(text: str) -> str:
    if text.startswith(_AS_IT_IS):
        return f"```text\n{textwrap.dedent(text.removeprefix(_AS_IT_IS))}\n```"
    return folded(_as_text(text))


def _value(parameter: click.Parameter) -> str:
    """How the usage writes a value: `N`, or `stock|rendezvous`."""
    kind = parameter.type
    choices = kind.choices if isinstance(kind, click.Choice) else ()
    return parameter.metavar or "|".join(map(str, choices))


def _spelled(option: click.Option) -> str:
    """The long name of an option, with its value."""
    return option.opts[-1] if option.is_flag else f"{option.opts[-1]} {_value(option)}"


def _option(option: click.Option) -> str:
    short = "".join(f"`{each}`, " for each in option.opts[:-1])
    return folded_item(f"- {short}`{_spelled(option)}`: {_as_text(option.help or '')}")


def _as_text(text: str) -> str:
    """A text of the terminal as Markdown, where the stars of patterns would be marks."""
    return re.sub(r"'([^' ]*\*[^' ]*)'", r"`'\1'`", " ".join(text.split()))
