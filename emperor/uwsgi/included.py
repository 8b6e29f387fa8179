"""Names the file and line of a finding about an option that an ini includes.

uWSGI says what an option is after all files, and not where it stands. So the files are read again,
as the user of the app: root opens no file that a tenant names.
"""

import asyncio
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from emperor.linux.commands import EndlessOutput, run_command
from emperor.linux.processes import as_identity
from emperor.model.definition import LONGEST_DEFINITION, BrokenIni
from emperor.model.ports import CannotLaunch
from emperor.model.spec import Identity
from emperor.uwsgi.environment import environment_of
from emperor.uwsgi.findings import Finding
from emperor.uwsgi.ini import LOADERS, PLACEHOLDERS, Ini, Option, refers
from emperor.uwsgi.loaded import option_lines, options_of_text

_MOST_FILES = 64
# A tenant may include a pipe, which nobody writes to.
READ_SECONDS = 2.0


def numbered(ini: Ini, below: int = 0) -> Ini:
    """The ini with another line, below `below`, for each option of another file."""
    first = below - len(ini.options)
    options = [
        option if option.line else structs.replace(option, line=first + index)
        for index, option in enumerate(ini.options)
    ]
    return replace(ini, options=tuple(options))


async def located(
    found: Sequence[Finding], inis: Sequence[Ini], folder: str, identity: Identity | None
) -> list[Finding]:
    """The findings, those about options of other files with the place in their text. `inis` are the
    ini in its forms, numbered. The files are read as `identity`, None for this process."""
    options = {option.line: option for ini in inis for option in ini.options if option.line < 0}
    if all(finding.line >= 0 for finding in found):
        return list(found)
    written = await _lines(_paths(inis, folder), identity)
    return [
        replace(finding, line=0, text=f"{finding.text} ({_place(options[finding.line], written)})")
        if finding.line in options
        else finding
        for finding in found
    ]


@dataclass(frozen=True, slots=True)
class _Line:
    path: str
    number: int
    key: str
    value: str


def _place(option: Option, written: Sequence[_Line]) -> str:
    same = [line for line in written if line.key == option.key]
    exact = [line for line in same if line.value == option.value]
    computed = [line for line in same if any(sign in line.value for sign in (*PLACEHOLDERS, "%"))]
    line = next(iter((*exact, *computed, *same)), None)
    return f"{line.path}, line {line.number}" if line else "in an included file"


async def _lines(paths: Sequence[str], identity: Identity | None) -> list[_Line]:
    files = await asyncio.gather(*(_read(path, identity) for path in paths))
    return [
        _Line(path, number, key, value)
        for path, lines in zip(paths, files, strict=True)
        for number, key, value in lines
    ]


def _paths(inis: Sequence[Ini], folder: str) -> list[str]:
    names = [ini.before.path for ini in inis if ini.before]
    for option in [option for ini in inis for option in ini.options]:
        name = option.value.partition(":")[0]
        if option.key in LOADERS and name and not refers(option.value):
            names.append(name)
    return list(dict.fromkeys(os.path.join(folder, name) for name in names))[:_MOST_FILES]


async def _read(path: str, identity: Identity | None) -> Iterable[tuple[int, str, str]]:
    if identity is None:
        return option_lines(path)
    argv = as_identity(identity, ["head", "-c", str(LONGEST_DEFINITION), "--", path])
    try:
        environment = environment_of(identity, os.environ)
        longest = 2 * LONGEST_DEFINITION
        ended, printed = await run_command(argv, environment, longest, READ_SECONDS)
        return options_of_text(printed.encode(), path) if ended.code == 0 else ()
    except (CannotLaunch, EndlessOutput, TimeoutError, BrokenIni):
        return ()
