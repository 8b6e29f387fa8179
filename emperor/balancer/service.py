"""The parts of the agent, wired together from its file, and made anew when that has changed.

A file that cannot be used changes nothing while the agent runs.
"""

import asyncio
import logging
import os
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from emperor import __version__
from emperor.balancer.agent import Agent
from emperor.balancer.list_file import ListFile, NotOurs
from emperor.balancer.metrics_file import MetricsFile
from emperor.balancer.state_publisher import StatePublisher
from emperor.linux.sd_notify import Notifier
from emperor.model.balancer_settings import BalancerSettings, read_balancer_settings
from emperor.model.balancer_state import BalancerState
from emperor.model.registry_access import RegistryAccess, read_access
from emperor.model.registry_keys import Keys
from emperor.model.section import SettingsError
from emperor.registry.access import text_of
from emperor.registry.etcd import Etcd
from emperor.registry.usable_access import require_usable

log = logging.getLogger("emperord.service")


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """What the file says, and the list that nginx has."""

    access: RegistryAccess
    settings: BalancerSettings
    file: ListFile


def read_config(config: Path) -> AgentConfig:
    """What the file says. Raises SettingsError, also if the list cannot be used."""
    # Read once: somebody may be writing it now.
    text = text_of(config)
    access = read_access(text, str(config))
    settings = read_balancer_settings(text, str(config))
    file = ListFile(settings.list_file)
    try:
        file.check()
    except NotOurs as error:
        raise SettingsError(str(error)) from error
    except OSError as error:
        raise SettingsError(f"cannot use {file.path}: {error.strerror}") from error
    return AgentConfig(access, settings, file)


def read_usable_config(config: Path) -> AgentConfig:
    """What the file says, if all files that it names can be used too. A start does not need that:
    it waits for files that are renewed at that moment. Raises SettingsError."""
    found = read_config(config)
    require_usable(found.access, config)
    return found


class Service:
    """Does what the file `config` says."""

    def __init__(self, config: Path, notifier: Notifier) -> None:
        self._config = config
        self._notifier = notifier
        self._signals: asyncio.Queue[signal.Signals] = asyncio.Queue()

    async def run(self) -> None:
        """Until SIGTERM or SIGINT; SIGHUP has the file read again. Raises SettingsError."""
        loop = asyncio.get_running_loop()
        now: AgentConfig | None = read_config(self._config)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._signals.put_nowait, number)
        while now is not None:
            now = await self._follow(now)

    async def _follow(self, now: AgentConfig) -> AgentConfig | None:
        """Follow the registry. Returns what the file says when it has changed; None: stop."""
        keys = Keys(now.access.prefix)
        async with Etcd(now.access) as engine:
            loop = asyncio.get_running_loop()
            agent = Agent(engine, keys, now.file, now.settings.policy, loop.time)
            name = socket.gethostname()

            def state() -> BalancerState:
                serial = agent.table.serial if agent.table else 0
                return BalancerState(name, serial, agent.problem, __version__)

            publisher = StatePublisher(engine, keys, state)
            metrics = MetricsFile(now.settings.metrics, lambda: agent.numbers(time.time()))

            def changed() -> None:
                publisher.changed()
                metrics.changed()

            agent.tell_changes(changed)
            # The list of the last run is in use already, whether or not the registry is there.
            self._notifier.ready()
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(each.run()) for each in (agent, publisher, metrics)]
                following = await self._changed_file()
                for task in running:
                    task.cancel()
            if following is None:
                self._notifier.stopping()
                await publisher.leave()
            return following

    async def _changed_file(self) -> AgentConfig | None:
        """What the file says when it is to be taken up; None: stop."""
        while await self._signals.get() is signal.SIGHUP:
            try:
                following = read_usable_config(self._config)
            except SettingsError as error:
                log.error("%s; what was read before is still in use", error)
            else:
                log.info("what %s says now is in use", self._config)
                return following
        return None


async def serve(config: Path) -> None:
    """Follow the registry until a signal. Raises SettingsError."""
    with Notifier.from_environment(os.environ) as notifier:
        await Service(config, notifier).run()
