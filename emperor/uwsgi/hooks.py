"""Judges the actions of hooks (`hook-*`, core/hooks.c) without doing them."""

import os
import re
from collections.abc import Iterator, Mapping

from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.identity import ROOT
from emperor.uwsgi.ini import Option
from emperor.uwsgi.needs import Need, TextAndCure
from emperor.uwsgi.programs import Where
from emperor.uwsgi.users import name_of

# What an action needs of the path that its argument begins with.
_NEEDS: Mapping[str, Need] = {
    "cd": Need.ENTER, "chdir": Need.ENTER, "create": Need.WRITE, "creat": Need.WRITE,
    "write": Need.WRITE, "writen": Need.WRITE, "append": Need.WRITE, "appendn": Need.WRITE,
    "unlink": Need.REMOVE, "mkdir": Need.NEW, "writefifo": Need.THERE, "chmod": Need.THERE,
    "sticky": Need.THERE, "chown": Need.THERE, "chown2": Need.THERE, "umount": Need.THERE,
}  # fmt: skip
_WAITS_FOR_SOCKET = "wait_for_socket"
_WAITS = frozenset({"wait_for_fs", "wait_for_file", "wait_for_dir", _WAITS_FOR_SOCKET})
# The words of an argument. An action that is not here takes its argument as one path.
_WORDS: Mapping[str, tuple[str, ...]] = {
    "write": ("FILE", "TEXT"), "writen": ("FILE", "TEXT"), "append": ("FILE", "TEXT"),
    "writefifo": ("FILE", "TEXT"), "chmod": ("FILE", "MODE"), "chown": ("FILE", "USER", "GROUP"),
    "chown2": ("FILE", "USER", "GROUP"), "mount": ("TYPE", "WHAT", "WHERE"),
}  # fmt: skip
_FIRST_WORD = frozenset({*_WORDS, "appendn", "umount"})
_OF_ROOT = frozenset({"mount", "umount"})
_OWNERS = frozenset({"chmod", "sticky"})
_OCTAL = re.compile(r"[0-7]{3,4}")
# These fail when they are done again.
_ONCE = frozenset({"mkdir", "unlink", "umount"})


def fails(option: Option, where: Where, is_repeated: bool) -> Iterator[Finding]:
    """An error for an action other than `exec` and `exit` that fails. `is_repeated`: uWSGI comes
    to this hook several times before the app is loaded."""
    action, _, argument = option.value.partition(":")
    action = action.removeprefix("!")
    words = _WORDS.get(action, ())
    if problem := _wrong(option, action, argument, where):
        yield _error(option, problem)
    elif action == _WAITS_FOR_SOCKET and ":" in argument:
        return  # `awaited_ports` knows who listens
    elif action in _WAITS and (problem := where.problem_at(Need.THERE, argument)):
        text = f"{problem[0]}, and {option.key} waits for it: the app is not served before it is"
        yield Finding(option.line, Severity.ERROR, f"{text} there", problem[1])
    elif need := _NEEDS.get(action):
        path = argument.partition(" ")[0] if words or action in _FIRST_WORD else argument
        problem = where.problem_at(need, path) or _not_owned(action, path, where)
        if problem is None and is_repeated and action in _ONCE:
            text = f"uWSGI does {action} of {option.key} again and again while it stays root, and"
            cure = "use hook-asap, or set uid and gid in [uwsgi]"
            problem = f"{text} it fails the second time", cure
        if problem:
            yield _error(option, problem)


def _wrong(option: Option, action: str, argument: str, where: Where) -> TextAndCure | None:
    words = _WORDS.get(action, ())
    if len(argument.split(" ", len(words) - 1 if words else 0)) < len(words):
        text = f"{option.key} = {option.value} is no {action}:{' '.join(words)}"
        return text, f"correct {option.key}, or drop it"
    if action == "chmod" and not _OCTAL.fullmatch(argument.split(" ")[1]):
        return f"{option.key} = {option.value} has no mode as 644", f"correct {option.key}"
    if action in _OF_ROOT and where.user.uid != ROOT:
        return f"{name_of(where.user)} may not {action}", f"drop {option.key}"
    if action == "rpc":
        return f"{option.key} comes before uWSGI knows any function to call", "use hook-accepting"
    return None


def _not_owned(action: str, path: str, where: Where) -> TextAndCure | None:
    """Why chmod(2) fails on a file of another user."""
    if action not in _OWNERS or where.user.uid == ROOT or where.folder is None:
        return None
    owner = where.files.access(os.path.join(where.folder, path), where.user).owner
    if owner == where.user.uid:
        return None
    return f"{name_of(where.user)} does not own {path}, and cannot change its mode", "drop it"


def _error(option: Option, problem: TextAndCure) -> Finding:
    text, cure = problem
    return Finding(option.line, Severity.ERROR, f"{text}, so the app does not start", cure)
