"""Looks whether an app, and what else an ini has Python import, can be imported without running
it: its module, syntax, imports, callable.

A Python of the same version looks at the sources, as the user who loads the app. Nothing of the
app's runs: this Python starts without site-packages (`-I -S`), and gets their folders as an
argument. Only the packages of the system are read as each Python of the system reads them.
"""

import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from emperor.linux.commands import EndlessOutput, run_command
from emperor.linux.processes import as_identity
from emperor.linux.trust import who_may_turn
from emperor.model.access import FileKind
from emperor.model.json_value import from_json
from emperor.model.ports import CannotLaunch
from emperor.model.spec import Identity
from emperor.uwsgi.alternatives import MOUNTS, NamedApp, apps_in
from emperor.uwsgi.environment import environment_of
from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.homes import shows_packages_of_system
from emperor.uwsgi.identity import ROOT
from emperor.uwsgi.ini import HOMES, Ini, Option, refers
from emperor.uwsgi.loops import is_gevent
from emperor.uwsgi.needs import Files
from emperor.uwsgi.places import places
from emperor.uwsgi.pythons import named_home
from emperor.uwsgi.runtime_options import APPS
from emperor.uwsgi.spec import MOUNTED_FILES
from emperor.uwsgi.urls import HTTP

_LOOKER = Path(__file__).with_name("app_source.py")
_LONGEST_ANSWER = 1 << 16
# The user of the app can stop the program, or let it read a file system of his own.
_LOOK_SECONDS = 10.0
_FILES = frozenset({"file", "wsgi-file"})
_MODULES = frozenset({"module", "wsgi"})
# Modules with a callable of another kind.
_OTHER_MODULES = frozenset({"web3", "pump", "wsgi-lite"})
# uWSGI has these modules load the app (plugins/python/pyloader.c).
_LOADERS = {
    "paste": "paste.deploy", "ini-paste": "paste.deploy", "ini-paste-logged": "paste.deploy",
    "pecan": "pecan",
}  # fmt: skip
# environ and start_response.
_OF_WSGI = 2
_PATHS = frozenset({"pythonpath", "python-path", "pp"})
# With these modules are found, or made, in ways that only uWSGI knows.
_UNKNOWN = frozenset({"chroot", "py-programname", "py-program-name"})
_BEFORE_THE_APP = frozenset({"hook-asap", "hook-pre-app", "exec-pre-app"})
# Hooks and commands that make no modules. Many inis have those of Django.
_MAKES_NONE = re.compile(
    r"!?(?:print|log|alarm|chmod|chown2?|sticky|wait_for_\w+):.*"
    r"|(?:!?(?:safe)?exec:)?(?:(?:\S*/)?python[\d.]*\s+)?(?:\S*/)?(?:manage\.py\s+(?:migrate|check"
    r"|collectstatic|compilemessages|createcachetable|loaddata)|echo|true|sleep|chmod|chown)"
    r"(?:\s[^;|&`$()<>]*)?"
)
# With these the app may find other modules than the search does.
_RENAMING = frozenset({"pymodule-alias", "post-pymodule-alias", "pyshell"})
_PATH_VARIABLE = "PYTHONPATH="
_ROOT_USER = Identity(ROOT, ROOT, None)


@dataclass(frozen=True, slots=True)
class Search:
    """Where Python looks for modules: the folder in which uWSGI looks for files too, which is first
    in `path`, and whether it sees the packages of the system."""

    path: tuple[str, ...]
    is_of_system: bool

    @property
    def folder(self) -> str:
        """The folder in which relative paths begin."""
        return self.path[0]


@dataclass(frozen=True, slots=True)
class Load:
    """What uWSGI loads: the absolute path of a file, the name of a module, or the `code` itself;
    the name of the callable that must be there, empty where only uWSGI knows it, and the number of
    arguments that it is called with, None where that is unknown; the module that
    loads it, and that of the loop that is to run it, both empty for uWSGI's own."""

    file: str = ""
    module: str = ""
    code: str = ""
    callable: str = ""
    arguments: int | None = None
    loader: str = ""
    loop: str = ""


@dataclass(frozen=True, slots=True)
class Consequence:
    """What happens where it cannot be loaded, and how bad that is."""

    fails: str
    severity: Severity


APP_FAILS = Consequence("the app does not start", Severity.ERROR)


@dataclass(frozen=True, slots=True)
class LoadProblem:
    """What keeps the load of that number from being loaded: `no-module`, `syntax`, `no-import`,
    `no-callable`, `no-call`, `no-loader`, `no-loop`, `no-answer` or `no-read`, with the name that
    is missing, and the source and line where that was seen."""

    number: int
    code: Literal[
        "no-module", "syntax", "no-import", "no-callable", "no-call", "no-loader", "no-loop",
        "no-answer", "no-read",
    ]  # fmt: skip
    name: str
    source: str
    line: int


def search_of(ini: Ini, folder: str, version: str, is_own_python: bool) -> Search | None:
    """Where the modules of an ini are; None where only uWSGI can tell. `version` is that of the
    Python in uWSGI. `is_own_python`: without a home it is the system's."""
    last = ini.last
    start = places(last, folder).folder
    if start is None or _UNKNOWN & last.keys() or any(map(_may_make_modules, ini.options)):
        return None
    paths = [each.value for each in ini.options if each.key in _PATHS]
    for each in ini.options:
        if each.key == "env" and each.value.startswith(_PATH_VARIABLE):
            paths += each.value.removeprefix(_PATH_VARIABLE).split(":")
    home = named_home(ini)
    homes = [last[key].value for key in HOMES & last.keys()]
    if any(refers(each) for each in (*paths, *homes)):
        return None
    packages = _packages(home, start, version)
    if packages is None or (home is None and not is_own_python):
        return None
    return Search((start, *(os.path.join(start, each) for each in paths), *packages), home is None)


def _may_make_modules(option: Option) -> bool:
    return option.key in _BEFORE_THE_APP and not _MAKES_NONE.fullmatch(option.value)


def loads_of(ini: Ini, search: Search, files: Files) -> list[tuple[Option, Load]]:
    """The options that name an app, in the order in which uWSGI loads them, and what it is; without
    those of which only uWSGI can tell."""
    if _RENAMING & ini.last.keys():
        return []
    known = (app for app in apps_in(ini) if not refers(app.target) or _is_fetched(app))
    return [(app.option, _load(app, ini, search, files)) for app in known]


def _is_fetched(app: NamedApp) -> bool:
    is_file = app.option.key in _FILES or app.target.endswith(MOUNTED_FILES)
    return is_file and app.target.startswith(HTTP)


def _load(app: NamedApp, ini: Ini, search: Search, files: Files) -> Load:
    last, option, value = ini.last, app.option, app.target
    is_file = option.key in _FILES or (option.key in MOUNTS and value.endswith(MOUNTED_FILES))
    is_code = option.key == "eval"
    loader = _LOADERS.get(option.key, "")
    module, _, name = ("", "", "") if is_file or is_code or loader else value.partition(":")
    is_factory = False
    name = name or (last["callable"].value if "callable" in last else "application")
    if module:
        # uWSGI calls a function of the module, without arguments.
        is_factory = name.endswith("()")
        name = name.removesuffix("()")
    place = value if _is_fetched(app) else source_at(os.path.join(search.folder, value), files)
    return Load(
        file=place if is_file else "",
        module=module,
        code=value if is_code else "",
        callable="" if option.key in _OTHER_MODULES or "(" in name else name,
        arguments=0 if is_factory else _OF_WSGI,
        loader=loader,
        loop="gevent" if is_gevent(last) else "",
    )


def source_at(path: str, files: Files) -> str:
    """The source at a path, which may be a package."""
    is_package = files.access(path, _ROOT_USER).kind is FileKind.FOLDER
    return f"{path}/__init__.py" if is_package else path


def _packages(home: Option | None, start: str, version: str) -> list[str] | None:
    """The folders of packages that Python adds itself; None for a Python that is no virtual
    environment."""
    user = os.path.expanduser("~")
    system = [
        f"/usr/local/lib/python{version}/dist-packages", "/usr/lib/python3/dist-packages",
        f"{user}/.local/lib/python{version}/site-packages",
        f"{sys.base_prefix}/lib/python{version}/site-packages",
    ]  # fmt: skip
    if home is None:
        return system
    place = os.path.join(start, home.value)
    shares = shows_packages_of_system(place)
    if shares is None:
        return None
    return [f"{place}/lib/python{version}/site-packages", *(system if shares else [])]


def seen_by_root(search: Search, loads: Sequence[Load]) -> str | None:
    """What others than root could have written, of all that root would look at."""
    files = (load.file for load in loads if not load.file.startswith(HTTP))
    for place in (*files, *search.path):
        try:
            if place and (where := who_may_turn(place, ROOT)):
                return where
        except OSError:
            continue
    return None


async def problems_of(
    search: Search, loads: Sequence[Load], user: Identity, version: str
) -> Sequence[LoadProblem]:
    """What keeps each of `loads` from being loaded, as far as `user` can see. Nothing also where
    there is no Python of that version to look."""
    candidates = (f"{sys.base_prefix}/bin/python{version}", f"/usr/bin/python{version}")
    python = next((path for path in candidates if os.access(path, os.X_OK)), None)
    if python is None or os.geteuid() not in (ROOT, user.uid):
        return ()
    if user.uid == ROOT and seen_by_root(search, loads):
        return ()
    looker = _LOOKER.read_text(encoding="utf-8")
    site = [] if search.is_of_system else ["-S"]
    asked = {"path": search.path, "loads": [asdict(load) for load in loads]}
    argv = [python, "-I", *site, "-c", looker, json.dumps(asked)]
    argv = argv if user.uid == os.geteuid() else as_identity(user, argv)
    try:
        environment = environment_of(user, os.environ)
        ended, printed = await run_command(argv, environment, _LONGEST_ANSWER, _LOOK_SECONDS)
    except (CannotLaunch, EndlessOutput, TimeoutError):
        return ()
    return problems_in(printed, len(loads)) if ended.code == 0 else ()


def problems_in(printed: str, count: int) -> Sequence[LoadProblem]:
    """The problems that the program has printed about `count` loads. It runs as the user of the
    app, who may have changed what it prints."""
    try:
        found = [from_json(line, LoadProblem) for line in printed.splitlines()]
    except ValueError:
        return ()
    return [each for each in found if 0 <= each.number < count]


def unloadable(
    option: Option, search: Search, problem: LoadProblem, consequence: Consequence
) -> Finding:
    """The finding about what cannot be loaded."""
    problem = replace(problem, source=problem.source or f"the code of {option.key}")
    at = f"{problem.source}, line {problem.line}"
    install = "install it, or name the virtualenv that has it"
    text, cure = {
        "no-module": (
            f"there is no module {problem.name} in {':'.join(search.path)}",
            _module_cure(option, problem.name),
        ),
        "syntax": (f"{at}, is no valid Python", "correct that line"),
        "no-import": (
            f"{at}, imports {problem.name}, which is not installed for this app", install
        ),
        "no-loader": (
            f"{option.key} needs the module {problem.name}, which is not installed for this app",
            install,
        ),
        "no-loop": (
            f"its loop needs the module {problem.name}, which is not installed for this app",
            install,
        ),
        "no-answer": (
            f"uWSGI gets no source from {problem.name}, as it waits for no connection",
            "copy the app to a file of this machine",
        ),
        "no-read": (
            f"the user of the app may not read {problem.source}", "change its owner or mode",
        ),
        "no-callable": (
            f"{problem.source} defines no {problem.name}",
            _callable_cure(option, problem.name),
        ),
        "no-call": _uncallable(option, problem),
    }[problem.code]  # fmt: skip
    return Finding(option.line, consequence.severity, f"{text}, so {consequence.fails}", cure)


def _callable_cure(option: Option, name: str) -> str:
    if option.key not in APPS:
        return f"correct {option.key}"
    if name.isidentifier():
        return "set callable to what it defines"
    return "uWSGI takes callable for a name: let the app assign it, as application = ..."


def _uncallable(option: Option, problem: LoadProblem) -> tuple[str, str]:
    """Text and cure for a function that uWSGI calls with other arguments than it takes."""
    name = problem.name
    at = f"{name} ({problem.source}, line {problem.line})"
    if option.value.endswith("()"):
        return f"{at} is called without arguments, which it needs", "drop () if it is the app"
    cure = "assign the app to a name, as application = ..., and choose that by callable"
    if ":" in option.value:
        cure = f"write {option.key} = {option.value}() if it makes the app"
    return f"{at} does not take environ and start_response as a WSGI app", cure


def _module_cure(option: Option, module: str) -> str:
    """The cure for a module that is not there, where it is written as something else."""
    name, callable_name = option.value.partition(":")[::2]
    if option.key in _MODULES and name.endswith(".py"):
        meant = name.removesuffix(".py").strip("/").replace("/", ".")
        return f"write {option.key} = {meant}{':' if callable_name else ''}{callable_name}"
    if option.key in _MODULES and "/" in name.strip("/"):
        return f"write {option.key} = {option.value.strip('/').replace('/', '.')}"
    if option.key in _MODULES and "." in module and not callable_name:
        package, _, last = module.rpartition(".")
        return f"write {option.key} = {package}:{last} if {last} is the app, or correct it"
    return f"correct {option.key}, or set chdir or pythonpath to its folder"
