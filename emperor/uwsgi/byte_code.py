"""Has the sources of an app and of its packages byte-compiled, so that its start need not do it.

A program of ours (compile_sources) does that, run by a Python of the app's version: first as the
user of the app. Where that user may not write, the owner of the code compiles it, but only for an
ini of an administrator's: a tenant's ini must not have others write anything. As root the program
has no capabilities, and looks only at what nobody but root can change. So root never opens what a
tenant owns. (docs/decisions/byte-code.md)
"""

import json
import logging
import os
import secrets
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from emperor.linux.accounts import own_user
from emperor.linux.group_names import group_name
from emperor.linux.processes import as_identity, without_capabilities
from emperor.linux.timed_command import run_at_idle_priority
from emperor.model.definition import BrokenIni, Definition, FileOwner
from emperor.model.json_value import from_json
from emperor.model.log_fields import about
from emperor.model.ports import CannotLaunch, Gate
from emperor.model.settings import Settings
from emperor.model.spec import Identity, Spec
from emperor.uwsgi.bounds import Bounds
from emperor.uwsgi.emperor_section import overridden
from emperor.uwsgi.environment import environment_of
from emperor.uwsgi.identity import ROOT, is_administrator
from emperor.uwsgi.options import uwsgi_options
from emperor.uwsgi.plugins import Plugins, plugins_of
from emperor.uwsgi.pythons import python_of
from emperor.uwsgi.reader import UwsgiReader, in_thread
from emperor.uwsgi.resolver import CannotResolve
from emperor.uwsgi.sources import Sources, sources_of

log = logging.getLogger("emperord.byte_code")

PROGRAM = Path(__file__).with_name("compile_sources.py").read_text(encoding="utf-8")
_FIRST_TO_GO = ("choom", "-n", "1000", "--")
_LONGEST_OUTCOME = 1 << 14
# At idle priority it may take long until the program has had so much of the CPU. It may also hang.
_CPU_SECONDS, _LONGEST_SECONDS = 120.0, 300.0
_LARGEST_NUMBER = 2**32 - 1
_LONGEST_REASON = 200
# Of the code of one app.
_MOST_OWNERS = 3
# No domain begins with a dot.
_GROUP = ".byte-code"


@dataclass(frozen=True, slots=True)
class CompileRequest:
    """What the program gets: the version of Python that it must be, the folders, the level of
    optimization, the folder of the byte code if it is not beside the sources, the user who alone
    may be able to change what it looks at (None: anybody), and its bounds. Files are counted that
    end in .py. Bytes are those of the sources that it compiles; a larger source than `largest` is
    left out. Seconds are those of the CPU."""

    version: tuple[int, int]
    folders: tuple[str, ...]
    optimize: int = 0
    prefix: str = ""
    owner: int | None = None
    most_files: int = 50_000
    most_bytes: int = 512 << 20
    largest: int = 1 << 20
    seconds: float = _CPU_SECONDS


@dataclass(frozen=True, slots=True)
class CompileOutcome:
    """What the program prints: how many files it has compiled, found up to date, and cannot
    compile; why it stopped before the end, if it did; and who owns the folders that it could not
    write to. It runs as the user of the app, who may have changed what it prints."""

    compiled: int
    current: int
    broken: int
    stopped: str
    others: tuple[int, ...]


class ByteCompiler:
    """Compiles the apps of inis in the folder of `settings`. `gate` holds processes up while the
    daemon is upgraded."""

    def __init__(self, settings: Settings, reader: UwsgiReader, bounds: Bounds, gate: Gate) -> None:
        self._settings = settings
        self._accounts = reader.accounts
        self._reader = reader
        self._bounds = bounds
        self._gate = gate
        self._folder = os.path.realpath(settings.vassals_dir)
        # The version and the Python of each uWSGI, by its path, its time and its plugins.
        self._pythons: dict[tuple[object, ...], tuple[str, str] | None] = {}

    async def compile(self, spec: Spec, text: bytes, owner: FileOwner) -> None:
        """Compile what the ini `text` of that owner has Python import, and tell the log."""
        definition = Definition(spec.domain, spec.ini, self._folder, text, owner)
        try:
            found = await self._sources(definition, spec)
            if found is None:
                return
            begun = time.monotonic()
            outcome = await self._gate.repeat(partial(self._passes, definition, spec, *found))
        except (BrokenIni, CannotResolve, CannotLaunch) as error:
            log.debug("%s: cannot compile: %s", spec.domain, error, extra=about(spec.domain))
            return
        if outcome.compiled or outcome.stopped:
            _tell(spec, outcome, time.monotonic() - begun)

    async def _sources(
        self, definition: Definition, spec: Spec
    ) -> tuple[Sources, tuple[str, str]] | None:
        ini = await in_thread(self._reader.parse, definition)
        if ini.needs_uwsgi:
            ini = await self._reader.resolve(definition, ini)
        by_root = is_administrator(definition.owner, self._accounts)
        settings = overridden(self._settings, ini, is_roots=by_root)
        options = uwsgi_options(spec)
        sources = sources_of(ini, self._folder, options, settings)
        if not settings.byte_compile or sources is None or sources.is_empty:
            return None
        python = await self._python(options.binary, plugins_of(ini))
        return None if python is None else (sources, python)

    async def _python(self, binary: str, plugins: Plugins) -> tuple[str, str] | None:
        """The version of Python in that uWSGI, and such a Python; None where there is none."""
        resolver = self._reader.resolver.running(binary)
        try:
            key = (resolver.uwsgi, os.stat(resolver.uwsgi).st_mtime_ns, plugins)
        except OSError:
            return None
        if key not in self._pythons:
            version = await resolver.python(plugins)
            python = python_of(version, resolver.uwsgi) if version else None
            if version and python is None:
                log.info(
                    "cannot byte-compile the apps of %s: there is no python%s in /usr/bin,"
                    " /usr/local/bin or beside it; install it, or set byte-compile = false",
                    resolver.uwsgi, version,
                )  # fmt: skip
            self._pythons[key] = (version, python) if version and python else None
        return self._pythons[key]

    async def _passes(
        self, definition: Definition, spec: Spec, sources: Sources, python: tuple[str, str]
    ) -> CompileOutcome:
        version, path = python
        major, minor = version.split(".")
        folders = sources.with_packages(version)
        request = CompileRequest((int(major), int(minor)), folders, sources.level, sources.prefix)
        user = spec.identity or self._accounts.daemon
        request = replace(request, owner=ROOT if user.uid == ROOT else None)
        outcome = await self._run(path, request, user)
        if sources.prefix or not is_administrator(definition.owner, self._accounts):
            return outcome
        for uid in outcome.others:
            owner = self._accounts.user(str(uid))
            if owner is not None and uid != user.uid and os.geteuid() == ROOT:
                more = await self._run(path, replace(request, owner=uid), owner)
                outcome = replace(
                    outcome,
                    compiled=outcome.compiled + more.compiled,
                    stopped=outcome.stopped or more.stopped,
                )
        return outcome

    async def _run(self, python: str, request: CompileRequest, user: Identity) -> CompileOutcome:
        """Raises CannotLaunch."""
        argv = [python, "-I", "-S", "-c", PROGRAM, json.dumps(asdict(request))]
        is_other = user.uid not in (ROOT, os.geteuid())
        argv = as_identity(user, argv) if is_other else without_capabilities(argv)
        name = group_name(user.uid, _GROUP, secrets.randbits(40))
        with self._bounds.background(name) as enter:
            argv = enter(["env", "-C", "/", *_FIRST_TO_GO, *argv])
            environment = environment_of(user if is_other else own_user(), os.environ)
            ended, printed = await run_at_idle_priority(
                argv, environment, _LONGEST_OUTCOME, _LONGEST_SECONDS
            )
        how = str(ended) if ended else "it cannot be killed"
        return outcome_in(printed) or CompileOutcome(
            0, 0, 0, f"the program gave no answer: {how}", ()
        )


def outcome_in(printed: bytes) -> CompileOutcome | None:
    """What the program has printed, as far as it can be true; None for anything else."""
    try:
        outcome = from_json(printed.splitlines()[-1], CompileOutcome)
    except (ValueError, IndexError):
        return None
    if max(outcome.compiled, *outcome.others, 0) > _LARGEST_NUMBER:
        return None
    stopped = " ".join(outcome.stopped.split())[:_LONGEST_REASON]
    return replace(outcome, stopped=stopped, others=outcome.others[:_MOST_OWNERS])


def _tell(spec: Spec, outcome: CompileOutcome, seconds: float) -> None:
    """Log what came of compiling an app."""
    more = f"; stopped, since {outcome.stopped}" if outcome.stopped else ""
    log.info(
        "%s: byte-compiled %d files in %.1f s%s",
        spec.domain, outcome.compiled, seconds, more, extra=about(spec.domain),
    )  # fmt: skip
