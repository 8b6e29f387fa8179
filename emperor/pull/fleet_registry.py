"""The registry of a fleet as a source of vassals: its parts wired together. Imported only where
`registry-config` is set."""

import asyncio
import logging
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice

from emperor.linux.boot_id import boot_id
from emperor.linux.pulled_journal import Journal
from emperor.linux.state_dir import named_state_dir, state_dir
from emperor.model.provided import Provided
from emperor.model.registry_status import NotFollowed, RegistryStatus
from emperor.pull.alias_grants import AliasGrants
from emperor.pull.follower import Follower
from emperor.pull.local_copy import LocalCopy
from emperor.pull.pulled_inis import PulledInis
from emperor.pull.registry import RegistryParts
from emperor.pull.search import Search
from emperor.pull.unused_inis import UnusedInis
from emperor.pull.verification import Verifier
from emperor.registry.port import Connection
from emperor.registry.reachability import Asker
from emperor.registry.reads import Reads
from emperor.registry.signers_file import load_check
from emperor.supervisor.records import Vassal
from emperor.supervisor.versions import newest

log = logging.getLogger("emperord.fleet_registry")

_EXAMPLES = 100
_EDITED = (
    "its file was changed on this machine since it came from the registry, which does not change it"
    " any more; remove the file to have that of the registry again"
)


class FleetRegistry:
    """See `registry.Registry`."""

    def __init__(self, parts: RegistryParts) -> None:
        settings = parts.settings
        self._provisioner = parts.provisioner
        self._tasks = tasks = parts.tasks
        governor, folder = parts.governor, parts.folder
        self._running: list[asyncio.Task[None]] = []
        assert parts.link is not None
        self._link = link = parts.link
        clock = asyncio.get_running_loop().time
        journal = Journal(state_dir(os.environ, settings.run_dir), boot_id())
        inis = PulledInis(settings.vassals_dir, journal)
        self._local_copy = local_copy = LocalCopy(inis, journal, folder, clock)
        self._verifier = verifier = Verifier(parts.users, parts.unfit)
        reads = Reads(tasks, clock, link.teller(Asker.READS))
        grants = AliasGrants(reads, verifier, local_copy, parts.aliases_in)
        local_copy.prepare()
        folder.grants = local_copy.grants_of
        self._search = Search(
            reads, verifier, grants, local_copy, folder, governor, tasks, settings.provision_timeout
        )
        self._follower = Follower(
            self._connection, reads, link.reachability, verifier, grants, self._local_copy,
            self._search, random.random,
        )  # fmt: skip
        self._unused_inis = UnusedInis(
            reads, verifier, self._local_copy, governor, settings.registry_forget
        )
        self.judged = self._search.judged

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        """The engine, when it is known who may sign entries. Raises SettingsError."""
        connection = await self._link.connection()
        self._verifier.check = load_check(await self._link.signers_file())
        yield connection

    def start(self) -> None:
        """Follow the registry from now on."""
        if named_state_dir(os.environ) is None:
            log.warning(
                "what is pulled from the registry is noted in run-dir, and no daemon knows after a"
                " reboot which inis were; set StateDirectory= in the unit"
            )
        parts = self._follower.follow, self._follower.apply, self._follower.retry
        self._running = [
            self._tasks.create_task(part()) for part in (*parts, self._unused_inis.run)
        ]

    def stop(self) -> None:
        """Change nothing from now on."""
        self._search.stop()
        self._provisioner.stop()
        for task in self._running:
            task.cancel()
        self._local_copy.close()

    async def provide(self, host: str, wildcard: str | None) -> Provided:
        """Search in the registry; if it has nothing, by the provisioning command."""
        found = await self._search.provide(host, wildcard)
        if found is Provided.NOTHING:
            return await self._provisioner.provide(host, wildcard)
        return found

    def status(self) -> RegistryStatus:
        """How the daemon stands to the registry."""
        complaints = self._local_copy.complaints
        latest = islice(reversed(complaints.items()), _EXAMPLES)
        return RegistryStatus(
            unreached_since=self._link.reachability.unreached_since,
            why=self._link.reachability.why or None,
            pulled=len(self._local_copy.held()),
            not_followed=len(complaints),
            examples=tuple(NotFollowed(*item) for item in latest),
            changed_file=self._link.news(),
        )

    def serial_of(self, vassal: Vassal) -> int | None:
        """The serial of the ini of a vassal, unless another file has taken the place of it."""
        kept = self._local_copy.kept(vassal.spec.domain)
        stamp = newest(vassal)[1]
        if kept is None or not kept.is_held or stamp is None or stamp.inode != kept.inode:
            return None
        return kept.serial

    def not_followed(self, domain: str) -> str | None:
        """Why the ini of a domain is not as the registry has it; None: it is."""
        if why := self._local_copy.complaints.get(domain):
            return why
        copy = self._local_copy
        return _EDITED if copy.holds(domain) and copy.is_edited(domain) else None
