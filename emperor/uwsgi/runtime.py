"""The parts with which emperord runs uWSGI's vassals, put together."""

import asyncio
from pathlib import Path

from emperor.linux.limits import somaxconn
from emperor.model.ports import Runtime
from emperor.model.settings import Settings
from emperor.uwsgi.identity import Accounts
from emperor.uwsgi.launcher import UwsgiLauncher
from emperor.uwsgi.options import UwsgiOptions
from emperor.uwsgi.reader import UwsgiReader
from emperor.uwsgi.resolver import Resolver


def uwsgi_runtime(
    uwsgi: Path,
    settings: Settings,
    accounts: Accounts,
    resolver: Resolver,
    open_files: tuple[int, int],
) -> Runtime:
    """The runtime that spawns the binary `uwsgi`, with the limits `open_files` (soft, hard)."""
    loop = asyncio.get_running_loop()
    return Runtime(
        name=UwsgiOptions().name,
        options=UwsgiOptions,
        reader=UwsgiReader(settings, accounts, resolver, somaxconn()),
        launcher=UwsgiLauncher(uwsgi, settings, loop, open_files),
    )
