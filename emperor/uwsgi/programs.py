"""Judges a shell command of an ini without running it: whether its programs can be run.

uWSGI gives a command to `/bin/sh -c`. Only the programs can be judged: whether they are there, and
whether a user can run them, with the interpreter that the first line of a script names. The kernel
runs that (fs/binfmt_script.c), and `env` searches for a program itself.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from emperor.model.access import FileKind, Reach
from emperor.model.spec import Identity
from emperor.uwsgi.environment import PATH
from emperor.uwsgi.ini import Ini
from emperor.uwsgi.needs import Files, Need, TextAndCure, problem_at
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
_SCRIPT = re.compile(r"#![ \t]*(?P<path>[^ \t]+)(?:[ \t]+(?P<argument>.*?))?[ \t]*")
# What env(1) searches for. Without -S, all that is behind it is one name.
_OF_ENV = re.compile(
    r"(?P<split>-S|--split-string[ \t=])?[ \t]*(?P<program>[^-\s=][^\s=]*\r?)(?P<more>[ \t].*)?"
)
# These refuse a carriage return behind their options.
_STRICT = re.compile(r"(?:ba|da|z|k)?sh|python[\d.]*|php[\d.]*|node")
# The file that an interpreter is to run, behind options that take no value. A shell searches for a
# name without a slash, and node tries endings. Only the interpreter knows a module (-m) or code.
_RUN_BY = re.compile(
    r"(?:\S*?(?P<shell>(?<![\w.-])(?:ba|da|z|k)?sh)|\S*?(?<![\w.-])(?:python[\d.]*|perl|ruby"
    r"|php[\d.]*|(?P<node>node)))(?:\s+-[uOBsEIex]+)*\s+(?P<file>[\w./@+][\w./@+-]*)(?=\s|$)"
)
# The kernel follows as many scripts that are interpreters of scripts.
_MOST_SCRIPTS = 4
# What uWSGI leaves as it is written, since it knows no variable, or no option, of that name.
_UNSET = re.compile(r"\$\(([\w.-]+)\)")
_UNSET_OPTION = re.compile(r"%\([\w.-]+\)")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_EXIT = re.compile(r"exit\s+0*[1-9]\d*\s*")


@dataclass(frozen=True, slots=True)
class Where:
    """Who runs a command, in which folder, and where the shell looks for programs; None where only
    uWSGI knows that. `is_resolved`: uWSGI has put in the values of all variables that have one."""

    user: Identity
    folder: str | None
    files: Files
    path: Sequence[str] | None
    is_resolved: bool = False

    def problem_at(self, need: Need, path: str) -> TextAndCure | None:
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

    problem: TextAndCure | None
    is_fine: bool = False


def judged(command: str, where: Where) -> Judgement:
    """What can be said of a command that is not run."""
    if where.is_resolved and (unset := _UNSET.search(command)):
        return _without_value(command, unset[0], where)
    if where.is_resolved and (unset := _UNSET_OPTION.search(_QUOTED.sub("", command))):
        return Judgement(_no_value(unset[0], "the shell cannot read that"))
    return _judged(command, where)


def _without_value(command: str, unset: str, where: Where) -> Judgement:
    """What the shell does where uWSGI has no value for a variable: it runs a program of that name,
    which is not there, and puts nothing in its place."""
    names = set(_UNSET.findall(command))
    if any(name in _BUILTINS or where.path is None for name in names) or "'" in command:
        return Judgement(None)
    if any(_searched_in(where.path or (), name, where) is None for name in names):
        return Judgement(None)
    without = _UNSET.sub("", command).strip()
    if not without:
        return Judgement(_no_value(unset, f"the shell finds no program {sorted(names)[0]}"))
    judgement = _judged(without, where)
    if judgement.problem is None:
        return judgement
    return Judgement(_no_value(unset, judgement.problem[0]))


def _no_value(variable: str, consequence: str) -> TextAndCure:
    cure = "write the value itself"
    if variable.startswith("%"):
        cure += ", or set that option above"
    return f"{variable} has no value, and {consequence}", cure


def _judged(command: str, where: Where) -> Judgement:
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


def _cannot_run(program: str, command: str, where: Where) -> TextAndCure | None:
    """Why the shell cannot run the program, or why that always fails, with the cure."""
    if program == "false" or _EXIT.fullmatch(command):
        return f"the command {command!r} always fails", "drop it"
    if program in _BUILTINS:
        return None
    problem = None
    if "/" in program:
        problem = where.problem_at(Need.EXECUTE, program) or _script(program, where)
    elif where.path is not None:
        problem = _searched_in(where.path, program, where)
    return problem or _file_of(command, where)


def _file_of(command: str, where: Where) -> TextAndCure | None:
    """Why an interpreter cannot read the file that the command has it run."""
    match = _RUN_BY.match(command)
    if match is None or (match["shell"] and "/" not in match["file"]):
        return None
    if match["node"] and "." not in os.path.basename(match["file"]):
        return None
    if where.folder is not None:
        path = os.path.join(where.folder, match["file"])
        if where.files.access(path, where.user).kind is FileKind.FOLDER:
            return None  # a package, for Python
    return where.problem_at(Need.READ, match["file"])


def _searched_in(path: Sequence[str], program: str, where: Where) -> TextAndCure | None:
    """Why the user cannot run the first program of that name in the folders of `path`."""
    places = [f"{place}/{program}" for place in path if place]
    found = [where.files.access(place, where.user) for place in places]
    for place, access in zip(places, found, strict=True):
        if access.can_execute:
            return _script(place, where)
    if any(each.reach in (Reach.CLOSED, Reach.UNSEEN) for each in found):
        return None
    if any(each.kind is FileKind.FILE for each in found):
        return f"{name_of(where.user)} may not run {program}", "change its mode"
    return f"there is no program {program}", "install it, or correct the command"


def _script(program: str, where: Where, depth: int = 0) -> TextAndCure | None:
    """Why the interpreter cannot run that the first line of the script at the path `program` names.
    Without such a line it is no script, or the shell runs it."""
    if where.folder is None and not program.startswith("/"):
        return None
    script = os.path.join(where.folder or "/", program)
    line = where.files.first_line(script)
    match = _SCRIPT.fullmatch(line)
    if match is None or depth >= _MOST_SCRIPTS:
        return None
    interpreter, argument = match["path"], match["argument"] or ""
    is_strict = _STRICT.fullmatch(os.path.basename(interpreter))
    problem = where.problem_at(Need.EXECUTE, interpreter)
    problem = problem or _script(interpreter, where, depth + 1)
    if os.path.basename(interpreter) == "env":
        problem = problem or _of_env(argument, where)
    if line.endswith("\r") and (problem or is_strict):
        text = (
            f"line 1 of {script} ends with a carriage return, which its interpreter does not take"
        )
        return text, f"save it with the line ends of Unix: sed -i 's/\\r$//' {script}"
    if problem is None or depth:
        return problem
    text, cure = problem
    cure = "install it, or correct that line" if "there is no" in text else cure
    return f"{text}, which line 1 of {script} leads to", cure


def _of_env(argument: str, where: Where) -> TextAndCure | None:
    """Why env(1) cannot run what its argument in a first line names."""
    match = _OF_ENV.fullmatch(argument)
    if match is None or where.path is None:
        return None
    if match["more"] and not match["split"]:
        return f"env searches for a program with the name {argument!r}", "write env -S there"
    return _searched_in(where.path, match["program"], where)
