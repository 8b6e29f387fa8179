"""The parts with which emperord runs uWSGI's vassals, put together."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from emperor.bases.bases import Bases
from emperor.bases.demand import ModulesOf
from emperor.bases.program import Program, own_program
from emperor.linux.accounts import own_user
from emperor.linux.limits import somaxconn
from emperor.linux.memory import MemoryShortage
from emperor.linux.processes import Spawner
from emperor.linux.spawn_thread import SpawnThread
from emperor.model import spec
from emperor.model.definition import FileOwner
from emperor.model.ports import Gate, Runtime
from emperor.model.settings import Settings
from emperor.uwsgi.boot_files import BootFiles
from emperor.uwsgi.bounds import Bounds, bounds_of
from emperor.uwsgi.byte_code import ByteCompiler
from emperor.uwsgi.copies import IniCopies, copies_of
from emperor.uwsgi.defaults import DefaultsFile
from emperor.uwsgi.environment import environment_of
from emperor.uwsgi.identity import Accounts
from emperor.uwsgi.launcher import UwsgiLauncher
from emperor.uwsgi.options import UwsgiOptions
from emperor.uwsgi.pythons import own_python_home
from emperor.uwsgi.reader import UwsgiReader
from emperor.uwsgi.resolver import Confinement, Resolver
from emperor.uwsgi.start import Starter


@dataclass(frozen=True, slots=True)
class UwsgiParts:
    """The runtime, and what the rest of the daemon needs of its parts: the bases that apps are
    forked from, what holds their processes, the copies of inis, the file that uWSGI reads before
    each ini, and what compiles the sources of an app."""

    runtime: Runtime
    bases: Bases
    bounds: Bounds
    copies: IniCopies
    defaults: DefaultsFile
    compile_app: Callable[[spec.Spec, bytes, FileOwner], Awaitable[None]]


def uwsgi_parts(
    uwsgi: Path, settings: Settings, accounts: Accounts, gate: Gate, open_files: tuple[int, int]
) -> UwsgiParts:
    """The parts for the uWSGI of the binary `uwsgi`. `gate` holds up what must not run during an
    upgrade. `open_files` are the limits that the daemon was started with."""
    loop = asyncio.get_running_loop()
    defaults = DefaultsFile(settings.vassal_defaults).load()
    limits = settings.limits(), settings.limits("tenant_")
    bounds, copies = bounds_of(*limits, settings.run_dir, open_files, loop), copies_of(settings)
    confinement = Confinement(copies, bounds)
    resolver = Resolver(uwsgi, settings.vassals_dir, gate, confinement=confinement)
    reader = UwsgiReader(settings, accounts, resolver, somaxconn(), defaults)
    starter = _starter(uwsgi, settings, bounds)
    runtime = Runtime(
        name=UwsgiOptions().name,
        options=UwsgiOptions,
        reader=reader,
        launcher=UwsgiLauncher(uwsgi, settings, starter, bounds, defaults),
    )
    compile_app = ByteCompiler(settings, reader, bounds, gate).compile
    return UwsgiParts(runtime, starter.bases, bounds, copies, defaults, compile_app)


def _starter(uwsgi: Path, settings: Settings, bounds: Bounds) -> Starter:
    spawner = Spawner(asyncio.get_running_loop(), SpawnThread())
    environment = environment_of(own_user(), os.environ)
    boot_files = BootFiles.of(settings, os.environ)
    learned = _learned(settings, boot_files)
    is_short = MemoryShortage(bounds.groups.folders(""))
    bases = Bases(_program(uwsgi, settings), environment, spawner, learned, is_short)
    return Starter(spawner, bases, boot_files)


def _learned(settings: Settings, boot_files: BootFiles) -> ModulesOf | str:
    """What tells the modules of apps, or why nothing of their homes is imported ahead."""
    if settings.bases is not spec.Bases.AUTO:
        return f"bases = {settings.bases.value}"
    return boot_files.why_off or boot_files.modules


def _program(uwsgi: Path, settings: Settings) -> Program | str:
    """What bases run, or why there are none."""
    if settings.bases is spec.Bases.OFF:
        return "bases = off"
    if not own_python_home(uwsgi):
        return "its uWSGI is not that of emperord"
    return own_program()
