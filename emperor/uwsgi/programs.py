"""Judges a shell command of an ini without running it: whether its programs can be run.

uWSGI gives a command to `/bin/sh -c`. Only the programs can be judged: whether they are there, and
whether a user can run them.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from emperor.model.access import Kind, Way
from emperor.model.spec import Identity
from emperor.uwsgi.environment import PATH
from emperor.uwsgi.ini import Ini
from emperor.uwsgi.paths import Files, Need, problem_at
from emperor.uwsgi.users import name_of

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
_EXEC = re.compile(r"exec\s+(?=[^-\s])")
_PROGRAM = re.compile(r"""(?P<quote>["']?)(?P<program>[\w./+@,:-]+)(?P=quote)(?=\s|$)""")
_ENTER = frozenset({"cd", "chdir"})
_PLAIN = re.compile(r"/[\w./-]*")
_NAME = re.compile(r"\w[\w./-]*")
_EXIT = re.compile(r"exit\s+0*[1-9]\d*\s*")

# The text of a problem, and its cure.
Problem = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Where:
    """Who runs a command, in which folder, and where the shell looks for programs; None where only
    uWSGI knows that."""

    user: Identity
    folder: str | None
    files: Files
    path: Sequence[str] | None

    def problem_at(self, need: Need, path: str) -> Problem | None:
        """Why the user cannot do that at a path; None where that is possible or unknown."""
        if not path or (self.folder is None and not path.startswith("/")):
            return None
        return problem_at(need, os.path.join(self.folder or "/", path), self.user, self.files)


def searched(ini: Ini) -> Sequence[str] | None:
    """Where the shell looks for the programs of an ini. None where the ini itself decides that."""
    if any(each.key == "env" and each.value.startswith("PATH=") for each in ini.options):
        return None
    return PATH.split(":")


@dataclass(frozen=True, slots=True)
class Judgement:
    """Why a command fails each time, if it does; and whether it always succeeds."""

    problem: Problem | None
    is_fine: bool = False


def judged(command: str, where: Where) -> Judgement:
    """What can be said of a command that is not run."""
    is_fine = True
    for written in command.split("&&"):
        part = _EXEC.sub("", _ASSIGNMENTS.sub("", _REDIRECTION.sub("", written).strip()), count=1)
        match = _PROGRAM.match(part)
        if _COMPOUND.search(part) or match is None:
            return Judgement(None)
        if problem := _cannot_run(match["program"], part, where):
            return Judgement(problem)
        if match["program"] in _ENTER:
            where = replace(where, folder=_entered(part, where.folder))
        is_fine = is_fine and match["program"] in _FINE
    return Judgement(None, is_fine)


def _entered(command: str, folder: str | None) -> str | None:
    """The folder after `cd`; None where only the shell knows it."""
    _, _, argument = command.partition(" ")
    if _PLAIN.fullmatch(argument):
        return argument
    return os.path.join(folder, argument) if folder and _NAME.fullmatch(argument) else None


def _cannot_run(program: str, command: str, where: Where) -> Problem | None:
    """Why the shell cannot run the program, or why that always fails, with the cure."""
    if program == "false" or _EXIT.fullmatch(command):
        return f"the command {command!r} always fails", "drop it"
    if "/" in program:
        return where.problem_at(Need.EXECUTE, program)
    if program in _BUILTINS or where.path is None:
        return None
    found = [where.files.access(f"{place}/{program}", where.user) for place in where.path if place]
    if any(each.can_execute or each.way in (Way.CLOSED, Way.UNSEEN) for each in found):
        return None
    if any(each.kind is Kind.FILE for each in found):
        return f"{name_of(where.user)} may not run {program}", "change its mode"
    return f"there is no program {program}", "install it, or correct the command"
