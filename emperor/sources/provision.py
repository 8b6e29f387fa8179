"""Runs the provisioning command for a domain without an ini: the talk's `initialize_webapp`."""

import asyncio
import logging
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT

from emperor.model.duration import format_duration
from emperor.model.log_fields import about
from emperor.model.ports import Gate
from emperor.model.settings import Settings
from emperor.supervisor.governor import Governor

log = logging.getLogger("emperord.provision")

# Anybody can send any host name: unknown ones must not become a fork bomb.
AT_ONCE = 4
_LOGGED_BYTES = 500


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

    async def provide(self, domain: str) -> bool:
        """Run the command for a domain. Returns whether the domain has a vassal then, and False at
        once if no command is set."""
        if not self._command or self._is_stopped:
            return False
        task = self._running.get(domain)
        if task is None:
            task = self._running[domain] = self._tasks.create_task(self._provide(domain))
            task.add_done_callback(lambda _: self._running.pop(domain))
        # A request that is cancelled must not end the run, for others may wait for it.
        await asyncio.wait([task])
        return not task.cancelled() and task.result()

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
        except OSError as error:
            log.warning("cannot provision %s: %s", domain, error, extra=about(domain))
            return False
        finally:
            self._governor.subscribers.remove(domain, admitted.set)

    async def _run(self, domain: str) -> bool:
        async with self._gate.passing():
            return await self._run_now(domain)

    async def _run_now(self, domain: str) -> bool:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            domain,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            start_new_session=True,
        )
        try:
            output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                # With its children: asyncio waits until the last one has closed the output.
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode:
            last = output[-_LOGGED_BYTES:].decode(errors="replace").strip()
            status = process.returncode
            log.info(
                "%s is not provisioned: exit status %d: %s",
                domain, status, last, extra=about(domain),
            )  # fmt: skip
        return process.returncode == 0
