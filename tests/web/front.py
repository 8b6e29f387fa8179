"""A world with an activation endpoint, which is asked as nginx's fallback asks it."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request

from emperor.model.ports import Listener, QueueLength
from emperor.model.provided import Provided
from emperor.model.refusal import Refusal, RefusalReason
from emperor.model.settings import Settings
from emperor.web.activation import Activation
from emperor.web.drain import Drain
from emperor.web.health import Health
from emperor.web.hosts import Hosts
from emperor.web.pace import Pacer
from tests.supervisor.world import World, settings

Client = TestClient[Request, Application]


@dataclass
class FakeInis:
    """The domains whose inis are refused, and those whose inis are not read yet. `aliases` has
    domains by the further names of their inis."""

    refused_domains: Collection[str] = ()
    unread: Collection[str] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)

    @property
    def refused(self) -> dict[str, Refusal]:
        reason = RefusalReason.BROKEN_INI
        return {
            domain: Refusal(domain, f"{domain}.ini", reason, "its secret cause")
            for domain in self.refused_domains
        }

    def has(self, domain: str) -> bool:
        return domain in self.unread

    def with_alias(self, host: str) -> str | None:
        return self.aliases.get(host)


class Front:
    """A world with an activation endpoint, and a client that asks as nginx does."""

    def __init__(self, world: World, activation: Activation, client: Client) -> None:
        self.world = world
        self.activation = activation
        self.client = client

    async def ask(
        self,
        domain: str = "a.example",
        navigates: bool = False,
        tries: str = "1",
        wants_html: bool = False,
        also: Mapping[str, str] = MappingProxyType({}),
    ) -> ClientResponse:
        """Ask for a domain, as nginx does for a cold request."""
        headers = {
            "X-Domain": domain,
            "X-Navigate": "1" if navigates else "0",
            "X-Html": "1" if navigates or wants_html else "0",
            "X-Try": tries,
            "X-Original-Method": "GET",
            "X-Original-Path": "/any/path",
            "X-Original-Agent": "curl/8.0",
            "X-Request-Id": "<script>alert(1)</script>",
            "X-Forwarded-For": "203.0.113.9",
            **also,
        }
        return await self.client.get("/any/path", headers=headers)

    @property
    def held(self) -> int:
        return self.world.governor.subscribers.count("a.example")


@asynccontextmanager
async def front(
    world: World,
    chosen: Settings | None = None,
    inis: FakeInis | None = None,
    lengths: list[QueueLength] | None = None,
    drain: Drain | None = None,
) -> AsyncIterator[Front]:
    """`lengths` are the results of measuring the listener's queue. The last one is repeated."""
    results = lengths or [QueueLength(0, 4097)]

    async def measure(_listener: Listener) -> QueueLength:
        return results.pop(0) if len(results) > 1 else results[0]

    async def provide(_host: str, _wildcard: str | None) -> Provided:
        return Provided.NOTHING

    async with asyncio.TaskGroup() as tasks:
        activation = Activation(
            chosen or settings(),
            world.governor,
            Pacer(measure, tasks),
            Hosts(world.governor.vassals, inis or FakeInis()),
            provide,
        )
        health = Health(drain or Drain(Path("/nowhere"), "boot"))
        async with TestClient(TestServer(activation.application(health))) as client:
            yield Front(world, activation, client)
