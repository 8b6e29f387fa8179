"""Decides what only uWSGI knows of an app by its ini: the options of its runtime."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from emperor.model.settings import Settings
from emperor.model.spec import Bases
from emperor.uwsgi.forkable import BY_EXEC, VARIABLES, variables_of, why_by_exec
from emperor.uwsgi.ini import (
    HOMES,
    STATS,
    WORKERS,
    Ini,
    is_computed,
    is_off,
    leading_number,
    of_emperor,
    refers,
)
from emperor.uwsgi.loops import OTHER_LOOPS
from emperor.uwsgi.numbers import whole_number
from emperor.uwsgi.options import UwsgiOptions, shared
from emperor.uwsgi.places import places
from emperor.uwsgi.pythons import named_home, python_home_of
from emperor.uwsgi.rules_by_name import RulesByName
from emperor.uwsgi.sockets import Socket

# These load an app before the workers run (init_apps of plugins/python, mountpoints of the core),
# so `need-app` notices a failure.
APPS = frozenset({
    "file", "wsgi-file", "module", "wsgi", "eval", "mount", "worker-mount", "paste", "ini-paste",
    "ini-paste-logged", "pecan", "web3", "pump", "wsgi-lite", "psgi", "rack", "rails",
})  # fmt: skip
# The master runs these before it has workers, and kills none when they fail.
_DEADLY_HOOKS = frozenset({"hook-pre-app", "hook-post-app"})
# What vacuum() of core/uwsgi.c deletes by its path, whosoever it is by then. Of the request sockets
# it deletes those that it has bound itself, also where a successor has taken them over.
_PIDFILES = frozenset({"pidfile", "pidfile2", "safe-pidfile", "safe-pidfile2"})
_VACUUMED = _PIDFILES | STATS
# Keys of [emperor] by which an app starts by exec.
_CHOOSE_EXEC = frozenset({"bases", "python", "uwsgi-binary"})


@dataclass(frozen=True, slots=True)
class _Case:
    """An ini, and what was decided of it before: its settings, its socket, after how many seconds
    the app sleeps, and its binary, empty for the daemon's own."""

    ini: Ini
    settings: Settings
    socket: Socket
    idle: int
    binary: str

    @property
    def start(self) -> str:
        """The folder in which uWSGI starts."""
        return str(self.settings.vassals_dir)


def runtime_options(
    ini: Ini, settings: Settings, socket: Socket, idle: int, binary: str
) -> UwsgiOptions:
    """The options of an ini which has that socket and binary and sleeps after `idle` seconds."""
    case = _Case(ini, settings, socket, idle, binary)
    return shared(
        socket_option=socket.option,
        names_socket=socket.is_named,
        adoption=socket.adoption,
        binary=binary,
        python_home=python_home_of(ini, settings, binary),
        defaults=ini.before.digest if ini.before else "",
        **{name: value(case) for name, value in _VALUES.about(ini)},
    )


def _needs_app(case: _Case) -> bool:
    last = case.ini.last
    return case.settings.need_app and "need-app" not in last and not APPS.isdisjoint(last)


def _overrules_idle(case: _Case) -> bool:
    of_uwsgi = case.ini.last.get("idle")
    return of_uwsgi is not None and whole_number(of_uwsgi) != case.idle


def _counts_workers(case: _Case) -> bool:
    last = case.ini.last
    return any(is_computed(last[key]) for key in WORKERS & last.keys())


def _can_pause(case: _Case) -> bool:
    """Whether a worker has one thread and the loop of uWSGI, which looks for a pause between two
    requests (wsgi_req_setup of core/utils.c)."""
    last = case.ini.last
    threads = last.get("threads")
    is_single = threads is None or (not is_computed(threads) and leading_number(threads.value) <= 1)
    return is_single and OTHER_LOOPS.isdisjoint(last)


def _may_be_dying(case: _Case) -> bool:
    return not _DEADLY_HOOKS.isdisjoint(case.ini.last)


def _vacuums(case: _Case) -> bool:
    """Whether uWSGI deletes files or sockets at its end that a successor may need."""
    last = case.ini.last
    is_on = "vacuum" in last and not is_off(last["vacuum"].value)
    makes_paths = any(address.startswith("/") for address in case.socket.foreign)
    return is_on and (makes_paths or not _VACUUMED.isdisjoint(last))


def _pidfiles(case: _Case) -> tuple[str, ...]:
    """Where uWSGI writes its pid: some of them before it changes folder, some after that."""
    last = case.ini.last
    named = [last[key].value for key in sorted(_PIDFILES & last.keys())]
    known = [value for value in named if value and not refers(value)]
    where = places(last, case.start)
    starts = [os.path.normpath(os.path.join(case.start, value)) for value in known]
    return tuple(dict.fromkeys([*starts, *map(where.bound, known)]))


def _home(case: _Case) -> str:
    """The home of Python that the ini names, where we know it; empty for none."""
    named = named_home(case.ini)
    if named is None or not named.value or refers(named.value):
        return ""
    folder = places(case.ini.last, case.start).folder
    return os.path.normpath(os.path.join(folder or "/", named.value))


def _by_exec(case: _Case) -> str:
    """The option for which the app cannot be forked from a base; empty if it can be."""
    if case.binary:
        return f"uwsgi-binary = {case.binary}"
    if case.settings.bases is Bases.OFF:
        return "bases = off" if case.ini.attribute("bases") else ""
    return why_by_exec(case.ini)


def _has_home_base(case: _Case) -> bool:
    return case.settings.bases is not Bases.STANDARD


def _variables(case: _Case) -> tuple[str, ...]:
    return variables_of(case.ini)


# The values that an ini without any of these options does not need: their defaults hold for it.
_VALUES: RulesByName[tuple[str, Callable[[_Case], object]]] = RulesByName({
    ("need_app", _needs_app): APPS,
    ("overrules_idle", _overrules_idle): {"idle"},
    ("counts_workers", _counts_workers): WORKERS,
    ("can_pause", _can_pause): OTHER_LOOPS | {"threads"},
    ("may_be_dying", _may_be_dying): _DEADLY_HOOKS,
    ("vacuums", _vacuums): {"vacuum"},
    ("pidfiles", _pidfiles): _PIDFILES,
    ("home", _home): HOMES | {of_emperor("python-home")},
    ("by_exec", _by_exec): BY_EXEC | {of_emperor(key) for key in _CHOOSE_EXEC},
    ("has_home_base", _has_home_base): {of_emperor("bases")},
    ("variables", _variables): VARIABLES,
})  # fmt: skip
