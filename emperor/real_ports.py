"""The kernel, the clock, chance and the files of one daemon, as the ports of its core."""

import asyncio
import os
import random
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from emperor.handover.gate import Gate
from emperor.linux.accounts import SystemAccounts
from emperor.linux.good_inis import GoodInisFile
from emperor.linux.listeners import UnixListeners
from emperor.linux.lock import Note
from emperor.linux.maintenance_note import maintenance_file
from emperor.linux.state_dir import state_dir
from emperor.model.history import Fact
from emperor.model.permits import Permits
from emperor.model.ports import Ports, Runtime, Store
from emperor.model.settings import Settings
from emperor.pull.registry import Registry, RegistryParts, registry_of
from emperor.sources.folder import Notes, VassalFolder
from emperor.sources.provision import Provisioner
from emperor.supervisor.governor import Governor
from emperor.uwsgi.identity import unfit
from emperor.uwsgi.ini import aliases_in

if TYPE_CHECKING:
    from emperor.registry.link import Link


def real_ports(
    settings: Settings,
    runtimes: Collection[Runtime],
    store: Store,
    takers: Collection[Callable[[Fact], None]],
    permits: Permits,
) -> Ports:
    """The real world, for the governor. The `takers` are told each fact."""
    loop = asyncio.get_running_loop()

    def tell(fact: Fact) -> None:
        for take in takers:
            take(fact)

    return Ports(
        listeners=UnixListeners(settings, loop),
        launchers={runtime.name: runtime.launcher for runtime in runtimes},
        store=store,
        maintenance=maintenance_file(os.environ, settings.run_dir),
        history=tell,
        clock=loop,
        wall_clock=partial(datetime.now, UTC),
        chance=random.random,
        cores=len(os.sched_getaffinity(0)),
        permits=permits,
    )


def notes_of(settings: Settings) -> Notes:
    """What the folder of inis keeps of an earlier daemon."""
    state = state_dir(os.environ, settings.run_dir)
    return Notes(Note(settings.run_dir), GoodInisFile(state))


def registry_for(
    settings: Settings,
    governor: Governor,
    inis: tuple[VassalFolder, SystemAccounts, Gate],
    link: "Link | None",
    tasks: asyncio.TaskGroup,
) -> Registry:
    """Where else inis may come from than from the folder: the registry of a fleet, and the
    provisioning command."""
    folder, accounts, gate = inis
    fits = partial(unfit, accounts=accounts, settings=settings)
    command = Provisioner(settings, governor, gate, tasks)
    world = settings, governor, folder, command, accounts, fits
    return registry_of(RegistryParts(*world, aliases_in, tasks, link))
