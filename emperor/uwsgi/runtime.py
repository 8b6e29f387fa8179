"""The parts with which emperord runs uWSGI's vassals, put together."""

import asyncio
from pathlib import Path

from emperor.linux.processes import Spawner
from emperor.linux.spawn_thread import SpawnThread
from emperor.model.ports import Runtime
from emperor.model.settings import Settings
from emperor.uwsgi.bounds import Bounds
from emperor.uwsgi.defaults import DefaultsFile
from emperor.uwsgi.launcher import UwsgiLauncher
from emperor.uwsgi.options import UwsgiOptions
from emperor.uwsgi.reader import UwsgiReader


def uwsgi_runtime(
    uwsgi: Path,
    settings: Settings,
    reader: UwsgiReader,
    bounds: Bounds,
    defaults: DefaultsFile,
) -> Runtime:
    """The runtime that spawns the binary `uwsgi`, which reads `defaults` before each ini."""
    spawner = Spawner(asyncio.get_running_loop(), SpawnThread())
    return Runtime(
        name=UwsgiOptions().name,
        options=UwsgiOptions,
        reader=reader,
        launcher=UwsgiLauncher(uwsgi, settings, spawner, bounds, defaults),
    )
