"""Looks at what an ini has uWSGI run and do at its start (`exec-*`, `hook-*`), without running it.

uWSGI gives a command to `/bin/sh -c`, and gives up if it fails (core/uwsgi.c, core/hooks.c). Of a
command only its programs can be judged: whether they are there, and whether they can be run.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from emperor.model.access import Kind, Way
from emperor.model.spec import Identity
from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.identity import ROOT
from emperor.uwsgi.ini import Ini, Option, refers
from emperor.uwsgi.paths import Files, Need, problem_at
from emperor.uwsgi.places import places
from emperor.uwsgi.users import DELAYED_UNTIL_BOUND, Users, name_of


@dataclass(frozen=True, slots=True)
class _Phase:
    """When uWSGI does it: who it is then, and whether it has entered `chdir`."""

    user: Callable[[Users], Identity]
    after_chdir: bool


_EARLY = _Phase(lambda users: users.start, False)
_DROPPED = _Phase(lambda users: users.load, False)
_LATE = _Phase(lambda users: users.load, True)
_EXECS: Mapping[str, _Phase] = {
    "exec-asap": _EARLY, "exec-pre-jail": _EARLY, "exec-in-jail": _EARLY, "exec-as-root": _EARLY,
    "exec-as-user": _DROPPED, "exec-pre-app": _LATE, "exec-post-app": _LATE,
}  # fmt: skip
_SERVING = _Phase(lambda users: users.serve, True)
# After the hooks around the app uWSGI goes on even if they fail.
_HOOKS: Mapping[str, _Phase] = {
    "hook-asap": _EARLY, "hook-pre-jail": _EARLY, "hook-in-jail": _EARLY, "hook-as-root": _EARLY,
    "hook-as-user": _DROPPED, "hook-post-fork": _SERVING, "hook-accepting": _SERVING,
    "hook-accepting1": _SERVING, "hook-accepting-once": _SERVING,
    "hook-accepting1-once": _SERVING,
}  # fmt: skip
_AROUND_THE_APP = frozenset({"hook-pre-app", "hook-post-app", "hook-master-start"})
_NEEDS = {
    "cd": Need.ENTER, "chdir": Need.ENTER, "create": Need.WRITE, "creat": Need.WRITE,
    "write": Need.WRITE, "writen": Need.WRITE, "append": Need.WRITE, "appendn": Need.WRITE,
    "unlink": Need.THERE, "mkdir": Need.NEW,
}  # fmt: skip
_WAITS = frozenset({"wait_for_fs", "wait_for_file", "wait_for_dir"})
_HELD = "the app is not served before it is there"
_FAILS = "the app does not start"

# Commands of the shell itself (dash). The first ones always succeed.
_FINE = frozenset({"true", ":", "echo", "printf", "umask"})
_BUILTINS = _FINE | {
    ".", "[", "alias", "bg", "break", "cd", "chdir", "command", "continue", "eval", "exec", "exit",
    "export", "false", "fg", "getopts", "hash", "jobs", "kill", "local", "pwd", "read", "readonly",
    "return", "set", "shift", "test", "times", "trap", "type", "ulimit", "unalias", "unset", "wait",
    "!", "case", "do", "done", "elif", "else", "esac", "fi", "for", "if", "then", "until", "while",
    "{", "}",
}  # fmt: skip
_COMPOUND = re.compile(r"[;|&()`\n]")
_REDIRECTION = re.compile(r"\d?>&\d")
_ASSIGNMENTS = re.compile(r"^(?:\w+=\S*\s+)+")
_PROGRAM = re.compile(r"""(?P<quote>["']?)(?P<program>[\w./+@,:-]+)(?P=quote)(?=\s|$)""")
_EXIT = re.compile(r"exit\s+0*[1-9]\d*\s*")
_SEARCHED = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def unusable_commands(ini: Ini, folder: str, users: Users, files: Files) -> Iterator[Finding]:
    """An error for each command and hook that cannot succeed, and a warning for each command that
    may fail. `folder` is the ini's own."""
    last = ini.last
    if "chroot" in last:
        return
    entered = places(last, folder).folder
    is_delayed = not DELAYED_UNTIL_BOUND.isdisjoint(last)
    has_path = any(each.key == "env" and each.value.startswith("PATH=") for each in ini.options)
    for option in ini.options:
        if option.key in _AROUND_THE_APP and option.value.startswith(("exit:", "!exit:")):
            yield _ends(option)
        phase = _EXECS.get(option.key) or _HOOKS.get(option.key)
        if phase is None or refers(option.value):
            continue
        is_inside = phase.after_chdir or (phase is _DROPPED and is_delayed)
        where = _Where(
            phase.user(users),
            entered if is_inside else folder,
            files,
            None if has_path else _path(),
        )
        if option.key in _EXECS:
            yield from _command(option, option.value, where)
        else:
            yield from _hook(option, where)


def _path() -> list[str]:
    return f"{os.environ.get('PATH', '')}:{_SEARCHED}".split(":")


@dataclass(frozen=True, slots=True)
class _Where:
    """Who runs a command, in which folder, and where the shell looks for programs; None where only
    uWSGI knows that."""

    user: Identity
    folder: str | None
    files: Files
    path: list[str] | None


def _hook(option: Option, where: _Where) -> Iterator[Finding]:
    action, _, argument = option.value.partition(":")
    action = action.removeprefix("!")
    if action == "exec":
        yield from _command(option, argument, where)
    elif action == "exit":
        yield _ends(option)
    elif action == "mount" and (where.user.uid != ROOT or len(argument.split()) < 3):
        text = f"{option.key} = {option.value} is no mount:TYPE WHAT WHERE"
        if where.user.uid != ROOT:
            text = f"{name_of(where.user)} may not mount"
        yield _error(option, text, f"correct {option.key}, or drop it")
    elif action in _WAITS and (problem := _at(Need.THERE, argument, where)):
        text = f"{problem[0]}, and {option.key} waits for it"
        yield Finding(option.line, Severity.ERROR, f"{text}: {_HELD}", problem[1])
    elif need := _NEEDS.get(action):
        path = argument.partition(" ")[0] if need is Need.WRITE else argument
        if problem := _at(need, path, where):
            yield _error(option, problem[0], problem[1])


def _at(need: Need, path: str, where: _Where) -> tuple[str, str] | None:
    if not path or (where.folder is None and not path.startswith("/")):
        return None
    return problem_at(need, os.path.join(where.folder or "/", path), where.user, where.files)


def _command(option: Option, command: str, where: _Where) -> Iterator[Finding]:
    is_fine = True
    for written in command.split("&&"):
        part = _ASSIGNMENTS.sub("", _REDIRECTION.sub("", written).strip())
        match = _PROGRAM.match(part)
        if _COMPOUND.search(part) or match is None:
            is_fine = False
            break
        if problem := _cannot_run(match["program"], part, where):
            yield _error(option, problem[0], problem[1])
            return
        is_fine = is_fine and match["program"] in _FINE
    if not is_fine:
        text = f"if the command of {option.key} fails, the app does not start; check does not run"
        cure = f"try it as {name_of(where.user)}, or let it end in || true"
        yield Finding(option.line, Severity.WARNING, f"{text} it", cure)


def _cannot_run(program: str, command: str, where: _Where) -> tuple[str, str] | None:
    """Why the shell cannot run the program, or why that always fails, with the cure."""
    if program == "false" or _EXIT.fullmatch(command):
        return f"the command {command!r} always fails", "drop it"
    if "/" in program:
        return _at(Need.EXECUTE, program, where)
    if program in _BUILTINS or where.path is None:
        return None
    found = [where.files.access(f"{place}/{program}", where.user) for place in where.path if place]
    if any(each.can_execute or each.way in (Way.CLOSED, Way.UNSEEN) for each in found):
        return None
    if any(each.kind is Kind.FILE for each in found):
        return f"{name_of(where.user)} may not run {program}", "change its mode"
    return f"there is no program {program}", "install it, or correct the command"


def _ends(option: Option) -> Finding:
    return _error(option, f"{option.key} = {option.value} ends uWSGI", f"drop {option.key}")


def _error(option: Option, text: str, cure: str) -> Finding:
    return Finding(option.line, Severity.ERROR, f"{text}, so {_FAILS}", cure)
