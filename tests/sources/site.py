"""A folder of inis in a test: a reader that knows no runtime, and a governor on fakes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from emperor.model.definition import BrokenIni, Definition
from emperor.model.ports import PendingSpec
from emperor.model.refusal import RefusalReason
from emperor.model.spec import Identity, Spec
from emperor.sources.folder import VassalFolder
from tests.supervisor.world import SPEC, World

# What a spec has that followed the settings, and the idle time of an ini that sets its own.
FOLLOWED, OWN = 77.0, 9


class FakeReader:
    """Reads definitions that are a number, the seconds of `idle`; other texts are broken. After the
    word "slow" the spec is pending until `answer` is set. A `fault` is raised for each text. The
    apps run as `identity`."""

    def __init__(self) -> None:
        self.answer = asyncio.Event()
        self.read_files: list[str] = []
        self.fault: Exception | None = None
        self.identity: Identity | None = None
        self.waiting = self.most_waiting = 0

    def read(self, definition: Definition) -> Spec | PendingSpec:
        self.read_files.append(definition.file)
        first, _, rest = definition.data.decode().partition(" ")
        if first != "slow":
            return self._spec(definition, first)

        async def wait() -> Spec:
            self.waiting += 1
            self.most_waiting = max(self.most_waiting, self.waiting)
            try:
                await self.answer.wait()
            finally:
                self.waiting -= 1
            return self._spec(definition, rest)

        return wait

    def follow(self, text: bytes, spec: Spec) -> Spec | None:
        """A spec that other inis cannot have, unless the ini is about itself."""
        is_own = text.decode() == str(OWN)
        return None if is_own else replace(spec, start_timeout=FOLLOWED)

    def aliases(self, definition: Definition) -> list[str]:
        """The words after "for"."""
        return definition.data.decode().partition(" for ")[2].split()

    def _spec(self, definition: Definition, text: str) -> Spec:
        if self.fault:
            raise self.fault
        if not text.isdecimal():
            raise BrokenIni("it is no number", "write one", 1)
        domain = definition.domain
        return replace(
            SPEC,
            domain=domain,
            ini=definition.file,
            socket=f"/s/{domain}/socket",
            idle=int(text),
            identity=self.identity,
        )


class Site:
    """A folder and a governor, which serves one vassal from elsewhere."""

    def __init__(self, path: Path, tasks: asyncio.TaskGroup) -> None:
        self.path = path
        self.world = World(vassals_dir=str(path))
        self.reader = FakeReader()
        self.folder = VassalFolder(self.world.settings, self.world.governor, self.reader, tasks)

    def write(self, domain: str, text: str) -> None:
        """Create or replace an ini as `mv` does."""
        draft = self.path / ".new"
        draft.write_text(text)
        draft.rename(self.path / f"{domain}.ini")
        self.folder.update(f"{domain}.ini")

    def idle(self, domain: str) -> int | None:
        vassal = self.world.governor.vassals.get(domain)
        return vassal.spec.idle if vassal else None

    def reason(self, domain: str) -> RefusalReason:
        return self.folder.refused[domain].reason


@asynccontextmanager
async def site_at(path: Path) -> AsyncIterator[Site]:
    async with asyncio.TaskGroup() as tasks:
        yield Site(path, tasks)
