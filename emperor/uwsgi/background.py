"""Finds what an ini runs beside its workers and what cannot start: daemons, jobs, alarms and hooks.

The app is served all the same. uWSGI starts a daemon that ended again and again (core/daemons.c,
core/cron.c, core/alarm.c, core/hooks.c), and tells nobody but the log.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from emperor.model.spec import Identity
from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.identity import ROOT
from emperor.uwsgi.ini import Ini, Option, leading_number, refers
from emperor.uwsgi.needs import Files, Need, TextAndCure
from emperor.uwsgi.places import places
from emperor.uwsgi.programs import Where, judged, searched
from emperor.uwsgi.users import Users

_AGAIN = "uWSGI starts it again and again in vain"
_ENDS_APP = "uWSGI ends the app as soon as it has started"
_EACH_TIME = "the job fails each time"
_NO_ALARM = "the alarm reaches nobody"
_NO_MULE = "uWSGI starts the mules again and again in vain"
_UNSEEN = "uWSGI never sees that it runs, and starts it again and again"
_NUMBER = r"\s*[+-]?\d+"
_CRON = re.compile(rf"(?:{_NUMBER}){{5}}\s+(?P<command>.+)")
_CRON2 = re.compile(r"(?:[\w-]+=\S*\s+)?(?P<command>.+)")
_SMART = re.compile(r"(?P<pidfile>[^ ,]+)(?:,\d*)? (?P<command>.+)")
_TOUCH = re.compile(r"(?:touch-exec\s+)?\S+ (?P<command>.+)")
_ALARM = re.compile(r"\S+ cmd:(?P<command>.+)")
_HOOK = re.compile(r"!?(?:safe)?exec:(?P<command>.+)")
_TOUCH_HOOK = re.compile(r"\S+ !?(?:safe)?exec:(?P<command>.+)")
_WHOLE = re.compile(r"(?P<command>.+)")
_COMMAND_KEYS = frozenset({"command", "cmd", "exec"})


@dataclass(frozen=True, slots=True)
class _Job:
    """A command to run, with what comes of it if it cannot run, who runs it and where, if the
    option itself says that, and the file in which its pid must appear."""

    command: str
    fails: str
    pidfile: str = ""
    folder: str = ""
    uid: int = 0


def _matching(pattern: re.Pattern[str], fails: str) -> Callable[[str], _Job | None]:
    def read(value: str) -> _Job | None:
        match = pattern.fullmatch(value)
        if match is None:
            return None
        return _Job(match["command"], fails, match.groupdict().get("pidfile") or "")

    return read


def _of_legion(read: Callable[[str], _Job | None]) -> Callable[[str], _Job | None]:
    """Reads a job behind the name of a legion."""
    return lambda value: read(value.partition(" ")[2])


def _daemon2(value: str) -> _Job | None:
    """A daemon of `cmd=...,chdir=...`."""
    parts = dict(part.partition("=")[::2] for part in value.split(","))
    command = next((parts[key] for key in parts if key in _COMMAND_KEYS), "")
    if not command:
        return None
    fails = _ENDS_APP if "control" in parts else _AGAIN
    folder, uid = parts.get("chdir", ""), leading_number(parts.get("uid", ""))
    return _Job(command, fails, parts.get("pidfile", ""), folder, uid)


_daemon, _smart = _matching(_WHOLE, _AGAIN), _matching(_SMART, _AGAIN)
_cron, _cron2 = _matching(_CRON, _EACH_TIME), _matching(_CRON2, _EACH_TIME)
_JOBS: Mapping[str, Callable[[str], _Job | None]] = {
    "attach-daemon": _daemon, "attach-daemon2": _daemon2, "smart-attach-daemon": _smart,
    "smart-attach-daemon2": _smart, "attach-control-daemon": _matching(_WHOLE, _ENDS_APP),
    "legion-attach-daemon": _of_legion(_daemon),
    "legion-smart-attach-daemon": _of_legion(_smart),
    "legion-smart-attach-daemon2": _of_legion(_smart),
    "cron": _cron, "unique-cron": _cron, "cron2": _cron2,
    "legion-cron": _of_legion(_cron), "cron-legion": _of_legion(_cron),
    "unique-legion-cron": _of_legion(_cron), "unique-cron-legion": _of_legion(_cron),
    "touch-exec": _matching(_TOUCH, _EACH_TIME), "hook-touch": _matching(_TOUCH_HOOK, _EACH_TIME),
    "exec-as-user-atexit": _matching(_WHOLE, _EACH_TIME),
    "hook-as-user-atexit": _matching(_HOOK, _EACH_TIME),
    "alarm": _matching(_ALARM, _NO_ALARM), "hook-as-mule": _matching(_HOOK, _NO_MULE),
}  # fmt: skip


def unusable_background(ini: Ini, folder: str, users: Users, files: Files) -> Iterator[Finding]:
    """A warning for each of them. `folder` is the one in which uWSGI starts."""
    if "chroot" in ini.last:
        return
    where = Where(
        users.serve, places(ini.last, folder).folder, files, searched(ini), ini.is_resolved
    )
    for option in ini.options:
        if refers(option.value) and not ini.is_resolved:
            continue
        if (read := _JOBS.get(option.key)) and (job := read(option.value)):
            yield from _job(option, job, where)


def _job(option: Option, job: _Job, where: Where) -> Iterator[Finding]:
    if job.folder:
        if problem := where.problem_at(Need.ENTER, job.folder):
            yield _warning(option, problem, job.fails)
            return
        where = replace(where, folder=job.folder if job.folder.startswith("/") else None)
    if job.uid and where.user.uid == ROOT:
        where = replace(where, user=Identity(job.uid, where.user.gid, None))
    if problem := judged(job.command, where).problem:
        yield _warning(option, problem, job.fails)
    elif job.pidfile and (problem := where.problem_at(Need.WRITE, job.pidfile)):
        yield _warning(option, problem, _UNSEEN)


def _warning(option: Option, problem: TextAndCure, fails: str) -> Finding:
    text, cure = problem
    return Finding(option.line, Severity.WARNING, f"{text}, so {fails}", cure)
