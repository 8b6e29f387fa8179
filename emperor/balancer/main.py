"""emperord-balancer: command line, log, signals and exit status."""

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path

import click

from emperor import __version__
from emperor.balancer.agent import Agent
from emperor.balancer.beacon import Beacon
from emperor.balancer.list_file import ListFile, NotOurs
from emperor.balancer.metrics_file import MetricsFile
from emperor.linux.journal import log_handler
from emperor.linux.notify import Notifier
from emperor.model.balancer_settings import BalancerSettings, read_balancer_settings
from emperor.model.balancer_state import BalancerState
from emperor.model.registry_access import DEFAULT_FILE, RegistryAccess
from emperor.model.registry_keys import Keys
from emperor.model.section import SettingsError
from emperor.registry.access import load_access
from emperor.registry.etcd import Etcd

log = logging.getLogger("emperord.main")

_PROGRAM = "emperord-balancer"


async def _run(access: RegistryAccess, settings: BalancerSettings) -> None:
    """Follow the registry until a signal. Raises NotOurs, OSError."""
    loop = asyncio.get_running_loop()
    with Notifier.from_environment(os.environ) as notifier:
        async with Etcd(access) as engine:
            file = ListFile(settings.list_file)
            agent = Agent(engine, Keys(access.prefix), file, settings.policy, loop.time)
            name = socket.gethostname()

            def state() -> BalancerState:
                serial = agent.table.serial if agent.table else 0
                return BalancerState(name, serial, agent.problem, __version__)

            beacon = Beacon(engine, Keys(access.prefix), state)
            metrics = MetricsFile(settings.metrics, lambda: agent.numbers(time.time()))

            def changed() -> None:
                beacon.changed()
                metrics.changed()

            agent.tell_changes(changed)
            stop = asyncio.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop.set)
            # The list of the last run is in use already, whether or not the registry is there.
            notifier.ready()
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(each.run()) for each in (agent, beacon, metrics)]
                await stop.wait()
                for task in running:
                    task.cancel()
            notifier.stopping()
            await beacon.leave()


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=_PROGRAM)
@click.option(
    "--config", metavar="FILE", type=click.Path(path_type=Path, readable=False),
    default=DEFAULT_FILE, show_default=True,
    help="How to reach the registry, and in [balancer] what to do.",
)  # fmt: skip
def main(config: Path) -> None:
    """Write the list of backends for nginx on a load balancer, as the registry of the fleet has it.

    See emperord-balancer(8).
    """
    root = logging.getLogger()
    root.addHandler(log_handler(os.environ, _PROGRAM))
    root.setLevel(logging.INFO)
    try:
        access = load_access(config)
        settings = read_balancer_settings(config.read_text(encoding="utf-8"), str(config))
        asyncio.run(_run(access, settings))
    except (SettingsError, NotOurs) as error:
        log.error("%s", error)
        sys.exit(1)
    except OSError as error:
        log.error("cannot write the list of backends: %s", error)
        sys.exit(1)
