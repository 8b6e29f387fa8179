"""What an operator of a fleet does with its registry, in a real etcd."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from emperor.model.registration import (
    Entry,
    RegisteredAlias,
    RegisteredIni,
    RegisteredRemoval,
    Sealed,
    encoded,
)
from emperor.model.registry_keys import Keys
from emperor.registry.etcd import Etcd
from tests.etcd_cluster import EtcdCluster

# A user of Debian, with a uid above 1.
OWNER = "games"


@dataclass(frozen=True, slots=True)
class FleetRegistry:
    """Writes values, whatever they are."""

    cluster: EtcdCluster
    keys: Keys = field(default_factory=lambda: Keys("/emperord"))

    def write(self, values: Mapping[str, bytes]) -> None:
        """Write a value for each of these domains."""

        async def write() -> None:
            async with Etcd(self.cluster.access) as engine:
                await engine.put({self.keys.vassal(d): value for d, value in values.items()}, {})

        asyncio.run(write())

    def put(self, *entries: Entry) -> None:
        """Write entries that nobody has signed."""
        self.write({entry.domain: encoded(Sealed(entry)) for entry in entries})

    def ini(self, domain: str, serial: int, ini: str, owner: str = OWNER) -> None:
        """Put an ini."""
        self.put(RegisteredIni(domain, serial, owner, ini))

    def alias(self, domain: str, serial: int, alias_of: str) -> None:
        """Put an alias."""
        self.put(RegisteredAlias(domain, serial, alias_of))

    def remove(self, domain: str, serial: int) -> None:
        """Put a removal."""
        self.put(RegisteredRemoval(domain, serial))

    def lose(self, domain: str) -> None:
        """Delete a key, which no tool does."""
        self.cluster.etcdctl("del", self.keys.vassal(domain))

    def revision(self) -> int:
        """The revision of now."""

        async def read() -> int:
            async with Etcd(self.cluster.access) as engine:
                return (await engine.page(self.keys.vassals(), 1)).revision

        return asyncio.run(read())
