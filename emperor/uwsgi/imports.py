"""Finds what an ini has Python import beside its app and what cannot be imported.

These are modules for all processes, for the spooler and for mules, other names of modules, and the
app for raw requests. uWSGI goes on without most of them, and tells nobody but the log
(plugins/python/python_plugin.c).
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from emperor.model.spec import Identity
from emperor.uwsgi.apps import (
    APP_FAILS,
    Consequence,
    Load,
    Search,
    loads_of,
    problems_of,
    source_at,
    unloadable,
)
from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.ini import Ini, Option, refers
from emperor.uwsgi.needs import Files, Need, problem_at
from emperor.uwsgi.places import places
from emperor.uwsgi.urls import HTTP
from emperor.uwsgi.users import Users

_SPELLINGS = ("import", "pyimport", "py-import", "python-import")
_SPOOLER_IMPORTS = frozenset(f"spooler-{key}" for key in _SPELLINGS)
_SPOOLERS = frozenset({"spooler", "spooler-external"})
# A mule with one of these runs no code of its own.
_SWITCHES = frozenset({"", "1", "true", "yes", "on"})


def _as_written(value: str) -> str:
    return value


def _behind_alias(value: str) -> str:
    return value.partition("=")[2]


def _of_mule(value: str) -> str:
    """The file or the function of a mule; empty for a mule that waits for messages."""
    return value if value.endswith(".py") or ":" in value else ""


def _is_path(name: str) -> bool:
    return "/" in name or name.endswith(".py")


@dataclass(frozen=True, slots=True)
class _Row:
    """What the options with `keys` load, as which user, and what happens where that fails. `named`
    is the file or the module in a value, and `is_file` tells which of the two it is."""

    keys: frozenset[str]
    consequence: Consequence
    user: Callable[[Users], Identity] = lambda users: users.load
    named: Callable[[str], str] = _as_written
    is_file: Callable[[str], bool] = _is_path


def _warns(fails: str) -> Consequence:
    return Consequence(fails, Severity.WARNING)


def _serve(users: Users) -> Identity:
    return users.serve


_GOES_ON = _warns("uWSGI goes on without it")
_MULE_FAILS = _warns("uWSGI starts the mule again and again in vain")
# In the order in which uWSGI loads them, with the app between the two.
_BEFORE_THE_APP = (
    _Row(frozenset({"pymodule-alias"}), APP_FAILS, named=_behind_alias),
    _Row(frozenset(f"shared-{key}" for key in _SPELLINGS), _GOES_ON),
    _Row(frozenset(_SPELLINGS), _GOES_ON),
    _Row(frozenset({"post-pymodule-alias"}), APP_FAILS, named=_behind_alias),
    _Row(frozenset({"python-raw"}), _GOES_ON, is_file=lambda name: True),
)
_AFTER_THE_APP = (
    _Row(_SPOOLER_IMPORTS, _warns("the spooler starts without it"), _serve),
    _Row(frozenset({"mule"}), _MULE_FAILS, _serve, _of_mule, lambda name: name.endswith(".py")),
)
_ROWS: Mapping[str, _Row] = {
    key: row for row in (*_BEFORE_THE_APP, *_AFTER_THE_APP) for key in row.keys
}


@dataclass(frozen=True, slots=True)
class _Named:
    """What an option loads, and what happens where that fails."""

    option: Option
    load: Load
    consequence: Consequence


def pointless_imports(ini: Ini) -> Iterator[Finding]:
    """A warning for each option that loads nothing."""
    has_spooler = not _SPOOLERS.isdisjoint(ini.last)
    for option in ini.options:
        key, value = option.key, option.value
        if key not in _ROWS or refers(value):
            continue
        if _ROWS[key].named is _behind_alias and "=" not in value:
            text, cure = f"{key} = {value} has no =", f"write {key} = NEW=OLD"
        elif key in _SPOOLER_IMPORTS and not has_spooler:
            text, cure = f"there is no spooler for {key}", "add spooler = FOLDER"
        elif key == "mule" and not _of_mule(value) and value.lower() not in _SWITCHES:
            text = f"mule = {value} names no .py file and no MODULE:FUNCTION"
            cure = f"write mule = {value}:FUNCTION, or mule = true for one that waits for messages"
        else:
            continue
        yield Finding(option.line, Severity.WARNING, f"{text}, so uWSGI loads nothing", cure)


def unreadable_imports(ini: Ini, folder: str, users: Users, files: Files) -> Iterator[Finding]:
    """A finding for each file beside the app that its user cannot read. `folder` is the one in
    which uWSGI starts."""
    start = places(ini.last, folder).folder
    if "chroot" in ini.last or start is None:
        return
    for row in (*_BEFORE_THE_APP, *_AFTER_THE_APP):
        for each in _loaded(row, ini, start, files):
            file = each.load.file
            if (
                file
                and not file.startswith(HTTP)
                and (problem := problem_at(Need.READ, file, row.user(users), files))
            ):
                text, cure = problem
                text = f"{text}, so {row.consequence.fails}"
                yield Finding(each.option.line, row.consequence.severity, text, cure)


async def unusable_imports(
    ini: Ini, search: Search, users: Users, files: Files, version: str
) -> list[Finding]:
    """A finding for the app, and for all else that uWSGI loads, that cannot be loaded, as far as
    the sources tell. `version` is that of uWSGI's Python."""
    apps = [_Named(*each, APP_FAILS) for each in loads_of(ini, search, files)]
    before, after = (
        [each for row in rows for each in _loaded(row, ini, search.folder, files)]
        for rows in (_BEFORE_THE_APP, _AFTER_THE_APP)
    )
    named = [*before, *apps, *after] if apps else before
    loads = [each.load for each in named]
    problems = await problems_of(search, loads, users.load, version) if loads else ()
    chosen = ((named[problem.number], problem) for problem in problems)
    return [unloadable(each.option, search, problem, each.consequence) for each, problem in chosen]


def _loaded(row: _Row, ini: Ini, folder: str, files: Files) -> Iterator[_Named]:
    """What the options of a row load. uWSGI looks for files in `folder`."""
    for option in ini.options:
        name = row.named(option.value) if option.key in row.keys else ""
        is_fetched = name.startswith(HTTP)
        if not name or (refers(name) and not is_fetched):
            continue
        if is_fetched and row.is_file(name):
            load = Load(file=name)
        elif row.is_file(name):
            load = Load(file=source_at(os.path.join(folder, name), files))
        elif option.key == "mule":
            module, _, function = name.partition(":")
            load = Load(module=module, callable="" if "(" in function else function)
        else:
            load = Load(module=name)
        # Without an answer from there uWSGI ends.
        ends = is_fetched and row.consequence is _GOES_ON
        yield _Named(option, load, APP_FAILS if ends else row.consequence)
