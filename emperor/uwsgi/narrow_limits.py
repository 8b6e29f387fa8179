"""Finds limits in which uWSGI cannot start: memory, processes and open files of the app, by the
settings, its section [emperor] and `max-fd` (measured on 2.0.31)."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from emperor.model.limits import Amount, Limits, spelled
from emperor.model.spec import Spec
from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.ini import WORKERS, Ini, is_off, leading_number
from emperor.uwsgi.once import HELPERS
from emperor.uwsgi.options import uwsgi_options
from emperor.uwsgi.spec import ROUTERS

_MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class _Memory:
    """What uWSGI takes with Python and an app that imports nothing. With less than `least_bytes`,
    and `least_worker_bytes` for each further one of the first `counted` workers, it starts with no
    Python. Some take `usual_bytes`. Each worker takes `worker_bytes` when it accepts, and above the
    limit the kernel kills some."""

    least_bytes: int
    usual_bytes: int
    least_worker_bytes: int
    counted: int
    worker_bytes: int


# Python's own modules are those of a base, or they are not.
_FORKED = _Memory(6 * _MEGABYTE, 6 * _MEGABYTE, 150 << 10, 1 << 20, 2 * _MEGABYTE)
# Python 3.13 takes less than 3.11.
_EXECUTED = _Memory(7 * _MEGABYTE, 8 * _MEGABYTE, 2 * _MEGABYTE, 8, 3 * _MEGABYTE)
# Pairs of sockets, of which uWSGI makes one for each worker and each spooler, and two for each
# mule, before it starts the first one. It has seven descriptors besides, and one for a connection.
_OWN_DESCRIPTORS, _DESCRIPTORS_EACH, _DESCRIPTORS_OF_MULE = 8, 2, 4
# For messages that any mule may take.
_DESCRIPTORS_OF_MULES = 4
_SPOOLERS = frozenset({"spooler", "spooler-external"})
_MULES = frozenset({"mule"})
_DAEMONS = frozenset(key for key in HELPERS if "attach" in key)


def narrow_limits(ini: Ini, spec: Spec, limits: Limits, *, has_bases: bool) -> Iterator[Finding]:
    """A finding for each limit that is too narrow. The ini is resolved, and `limits` are those that
    hold for the app. `has_bases`: apps are forked from bases where they can be."""
    is_forked = has_bases and not uwsgi_options(spec).by_exec
    yield from _memory(ini, _FORKED if is_forked else _EXECUTED, limits.memory_max)
    yield from _processes(ini, limits.pids_max)
    yield from _open_files(ini, spec, limits.nofile)


def _memory(ini: Ini, memory: _Memory, limit: int | None) -> Iterator[Finding]:
    if limit is None:
        return
    is_cheap = "cheaper" in ini.last and not is_off(ini.last["cheaper"].value)
    workers = _number(ini, {"cheaper-initial", "cheaper"} if is_cheap else WORKERS)
    least = memory.least_bytes + memory.least_worker_bytes * (min(workers, memory.counted) - 1)
    usual = memory.usual_bytes + memory.worker_bytes * (workers - 1)
    if limit < least:
        text = f"memory-max = {_size(limit)} is too little: uWSGI and Python alone take"
        text += f" {-(-least // _MEGABYTE)} MB, so the app does not start"
        yield _error(ini, "memory-max", text)
    elif limit < usual:
        them = f"{workers} workers, which take" if workers > 1 else "a worker, which takes"
        text = f"memory-max = {_size(limit)} is too little for {them} {usual // _MEGABYTE} MB with"
        text += " an app that imports nothing: the kernel kills some"
        yield Finding(
            _line(ini, "memory-max"), Severity.WARNING, text, "raise it, or lower processes"
        )


def _processes(ini: Ini, limit: int | None) -> Iterator[Finding]:
    """An error if there is no place for a worker, which starts after the spoolers and the thread
    for alarms, and a warning if something else does not start."""
    spoolers = _count(ini, _SPOOLERS) * _number(ini, {"spooler-processes"})
    first = spoolers + ("alarm" in ini.last)
    others = _mules(ini) + _count(ini, _DAEMONS | ROUTERS)
    workers = _number(ini, WORKERS) * _number(ini, {"threads"})
    text = f"pids-max = {limit} is too small for"
    if limit is not None and limit < first + 2:
        text += " the master, a worker and what uWSGI starts before that, so the app does not start"
        yield _error(ini, "pids-max", text)
    elif limit is not None and limit < 1 + first + workers + others:
        text += f" the {1 + first + workers + others} processes and threads that the ini asks for"
        yield Finding(_line(ini, "pids-max"), Severity.WARNING, text, "raise it")


def _open_files(ini: Ini, spec: Spec, limit: int | None) -> Iterator[Finding]:
    own = ini.last.get("max-fd")
    number = leading_number(own.value) if own else 0
    is_own = own is not None and 0 < number < (limit or number + 1)
    most = number if is_own else limit
    pairs = _number(ini, WORKERS) + _count(ini, _SPOOLERS) * _number(ini, {"spooler-processes"})
    needed = _OWN_DESCRIPTORS + _DESCRIPTORS_EACH * pairs + len(spec.foreign_sockets)
    if mules := _mules(ini):
        needed += _DESCRIPTORS_OF_MULES + _DESCRIPTORS_OF_MULE * mules
    if most is not None and most < needed:
        key = "max-fd" if is_own else "nofile"
        text = f"{key} = {most} is too small: uWSGI alone needs {needed} descriptors, so the app"
        text += " does not start"
        line = own.line if own and is_own else _line(ini, key)
        yield Finding(line, Severity.ERROR, text, f"raise {key}")


def _number(ini: Ini, keys: Collection[str]) -> int:
    """The number of the last option with one of these keys, at least 1."""
    option = ini.last_of(keys)
    return max(1, leading_number(option.value)) if option else 1


def _count(ini: Ini, keys: Collection[str]) -> int:
    return sum(1 for option in ini.options if option.key in keys and not is_off(option.value))


def _mules(ini: Ini) -> int:
    numbers = (leading_number(option.value) for option in ini.options if option.key == "mules")
    return _count(ini, _MULES) + sum(numbers)


def _size(limit: int) -> str:
    return spelled(Amount(limit))


def _line(ini: Ini, key: str) -> int:
    """The line in which the ini sets a limit; 0: the settings do."""
    option = ini.attribute(key)
    return option.line if option else 0


def _error(ini: Ini, key: str, text: str) -> Finding:
    place = "" if ini.attribute(key) else " in emperord.ini"
    return Finding(_line(ini, key), Severity.ERROR, text, f"raise {key}{place}")
