"""The registry of a fleet, as the rest of the daemon sees it. Without one there is nothing to see,
and nothing of it is imported."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from emperor.model.provided import Provided
from emperor.model.registry_status import RegistryStatus
from emperor.model.settings import Settings
from emperor.model.spec import Identity
from emperor.sources.folder import VassalFolder
from emperor.sources.provision import Provisioner
from emperor.supervisor.governor import Governor
from emperor.supervisor.records import Vassal

if TYPE_CHECKING:
    from emperor.registry.link import Link

# Why no app may run as a user, and the cure; None: it may.
Unfit = Callable[[Identity], tuple[str, str] | None]


class Users(Protocol):
    """The users of this machine."""

    @property
    def daemon(self) -> Identity:
        """The user that the daemon runs as."""

    def user(self, name: str) -> Identity | None:
        """The user of that name or number; None: there is none."""


class Registry(Protocol):
    """What of the registry concerns the rest of the daemon."""

    def start(self) -> None:
        """Follow the registry from now on."""

    def stop(self) -> None:
        """Change nothing from now on."""

    async def provide(self, host: str, wildcard: str | None) -> Provided:
        """Search for an ini of a host that has none on this machine, but for that wildcard."""

    def judged(self, domain: str) -> None:
        """The ini of that domain was served or refused, or is gone."""

    def status(self) -> RegistryStatus | None:
        """How the daemon stands to it; None: there is none."""

    def serial_of(self, vassal: Vassal) -> int | None:
        """The serial of the ini of a vassal; None: it did not come from the registry."""

    def not_followed(self, domain: str) -> str | None:
        """Why the ini of a domain is not as the registry has it; None: it is."""


class NoRegistry:
    """All inis are those of the folder, and of the provisioning command."""

    def __init__(self, provisioner: Provisioner) -> None:
        self._provisioner = provisioner
        self.provide = provisioner.provide

    def start(self) -> None:
        """Nothing is followed."""

    def stop(self) -> None:
        """Run no command from now on."""
        self._provisioner.stop()

    def judged(self, domain: str) -> None:
        """Nothing depends on that without a registry."""

    def status(self) -> RegistryStatus | None:
        """None, since there is no registry."""
        return None

    def serial_of(self, _vassal: Vassal) -> int | None:
        """None, since no ini comes from a registry."""
        return None

    def not_followed(self, _domain: str) -> str | None:
        """None, since there is no registry to follow."""
        return None


@dataclass(frozen=True, slots=True)
class RegistryParts:
    """What of the daemon the registry needs. `unfit` tells why no app may run as a user, and
    `aliases_in` which aliases an ini lists; `link` is None where there is no registry."""

    settings: Settings
    governor: Governor
    folder: VassalFolder
    provisioner: Provisioner
    users: Users
    unfit: Unfit
    aliases_in: Callable[[bytes, str, str], Collection[str]]
    tasks: asyncio.TaskGroup
    link: "Link | None"


def registry_of(parts: RegistryParts) -> Registry:
    """The registry that the settings name."""
    if parts.link is None:
        return NoRegistry(parts.provisioner)
    made: Registry = import_module("emperor.pull.fleet_registry").FleetRegistry(parts)
    return made
