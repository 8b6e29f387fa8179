"""Runs the provisioning command for a domain without an ini: the talk's `initialize_webapp`."""

import asyncio
import logging
import os

from emperor.guarded import guarded
from emperor.linux.commands import EndlessOutput, run_command
from emperor.model.duration import format_duration
from emperor.model.log_fields import about
from emperor.model.ports import CannotLaunch, Gate
from emperor.model.provided import Provided
from emperor.model.settings import Settings
from emperor.supervisor.governor import Governor

log = logging.getLogger("emperord.provision")

# Anybody can send any host name: unknown ones must not become a fork bomb.
AT_ONCE = 4
_LOGGED_CHARACTERS = 500
_LONGEST_OUTPUT_BYTES = 1 << 20


class Provisioner:
    """Runs the command at most once for a domain at a time, and for a few domains at once. All
    requests for a domain share the result of one run."""

    def __init__(
        self, settings: Settings, governor: Governor, gate: Gate, tasks: asyncio.TaskGroup
    ) -> None:
        self._command = settings.provision_command
        self._timeout = settings.provision_timeout
        self._governor = governor
        self._gate = gate
        self._tasks = tasks
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._running: dict[str, asyncio.Task[bool]] = {}
        self._is_stopped = False

    def stop(self) -> None:
        """End all runs, and start no more."""
        self._is_stopped = True
        for task in self._running.values():
            task.cancel()

    async def provide(self, domain: str, wildcard: str | None = None) -> Provided:
        """Run the command for a domain for which no ini is, nor a wildcard."""
        if not self._command or self._is_stopped or wildcard is not None:
            return Provided.NOTHING
        task = self._running.get(domain)
        if task is None:
            task = self._running[domain] = self._tasks.create_task(self._guarded(domain))
            task.add_done_callback(lambda _: self._running.pop(domain))
        # A request that is cancelled must not end the run, for others may wait for it.
        await asyncio.wait([task])
        has_vassal = not task.cancelled() and task.result()
        return Provided.VASSAL if has_vassal else Provided.NOTHING

    async def _guarded(self, domain: str) -> bool:
        with guarded(log, f"provision {domain}"):
            return await self._provide(domain)
        return False

    async def _provide(self, domain: str) -> bool:
        admitted = asyncio.Event()
        self._governor.subscribers.add(domain, admitted.set)
        try:
            async with asyncio.timeout(self._timeout), self._slots:
                if not await self._run(domain):
                    return False
                if self._governor.vassals.serving(domain) is None:
                    await admitted.wait()
                return True
        except TimeoutError:
            limit = format_duration(self._timeout)
            log.warning(
                "cannot provision %s: there is no vassal after %s; raise provision-timeout,"
                " or make the command faster",
                domain, limit,
                extra=about(domain),
            )  # fmt: skip
            return False
        except CannotLaunch as error:
            log.warning("cannot provision %s: %s", domain, error, extra=about(domain))
            return False
        except EndlessOutput:
            log.warning(
                "cannot provision %s: the command prints more than %d bytes; have it print less",
                domain, _LONGEST_OUTPUT_BYTES,
                extra=about(domain),
            )  # fmt: skip
            return False
        finally:
            self._governor.subscribers.remove(domain, admitted.set)

    async def _run(self, domain: str) -> bool:
        async with self._gate.passing():
            ended, output = await run_command(
                [*self._command, domain], os.environ, _LONGEST_OUTPUT_BYTES
            )
        if ended.code != 0:
            last = output[-_LOGGED_CHARACTERS:].strip()
            log.info("%s is not provisioned: %s: %s", domain, ended, last, extra=about(domain))
        return ended.code == 0
