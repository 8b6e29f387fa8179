"""The parts with which emperord runs uWSGI's vassals, put together."""

import asyncio
import os
from pathlib import Path

from emperor.bases.bases import Bases
from emperor.bases.demand import ModulesOf
from emperor.bases.program import Program, own_program
from emperor.linux.accounts import own_user
from emperor.linux.memory import MemoryShortage
from emperor.linux.processes import Spawner
from emperor.linux.spawn_thread import SpawnThread
from emperor.model import spec
from emperor.model.ports import Runtime
from emperor.model.settings import Settings
from emperor.uwsgi.boot_files import BootFiles
from emperor.uwsgi.bounds import Bounds
from emperor.uwsgi.defaults import DefaultsFile
from emperor.uwsgi.environment import environment_of
from emperor.uwsgi.launcher import UwsgiLauncher
from emperor.uwsgi.options import UwsgiOptions
from emperor.uwsgi.pythons import own_python_home
from emperor.uwsgi.reader import UwsgiReader
from emperor.uwsgi.start import Starter


def uwsgi_runtime(
    uwsgi: Path,
    settings: Settings,
    reader: UwsgiReader,
    bounds: Bounds,
    defaults: DefaultsFile,
) -> tuple[Runtime, Bases]:
    """The runtime that starts apps with the uWSGI of the binary `uwsgi`, which reads `defaults`
    before each ini; and the bases that it forks them from."""
    spawner = Spawner(asyncio.get_running_loop(), SpawnThread())
    environment = environment_of(own_user(), os.environ)
    boot_files = BootFiles.of(settings, os.environ)
    learned = _learned(settings, boot_files)
    is_short = MemoryShortage(bounds.groups.folders(""))
    bases = Bases(_program(uwsgi, settings), environment, spawner, learned, is_short)
    starter = Starter(spawner, bases, boot_files)
    runtime = Runtime(
        name=UwsgiOptions().name,
        options=UwsgiOptions,
        reader=reader,
        launcher=UwsgiLauncher(uwsgi, settings, starter, bounds, defaults),
    )
    return runtime, bases


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
