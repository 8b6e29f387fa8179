"""The shipped balancer on loopback, in front of backends that do what a test wants."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import MappingProxyType

import psutil

from docs.examples.balancer import render
from docs.examples.rewriting import rewrite
from tests.balancer.backends import Backend
from tests.balancer.vectors import stock_index
from tests.eventually import eventually_async
from tests.faults.clock import Clock
from tests.http_client import Reply, Request, ask
from tests.nginx_server import NginxServer, free_ports

# What nginx logs besides the marks: of a backend that refuses, and of one that closes instead of
# answering.
REFUSED = r"connect\(\) failed \(111: Connection refused\) while connecting to upstream"
BROKE_OFF = r"upstream prematurely closed connection|recv\(\) failed \(104"
# A probe was under way when its backend was stopped.
PROBE_CUT_OFF = (
    r"(recv\(\) failed|peer closed connection in SSL handshake|SSL_do_handshake\(\) failed) .*"
    r"context: ngx\.timer"
)
# A loaded machine must not look like a dead backend.
_PATIENT = {"TIMEOUT_MS = 1500": "TIMEOUT_MS = 15000"}
_MARK = re.compile(r"backend (\S+) is (unreachable|unwell|well)\b")


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a balancer runs: an IPv4 address, and perhaps an IPv6 address in brackets; `clock` is
    its wall clock, if a test sets it."""

    addresses: tuple[str, ...] = ("127.0.0.1",)
    clock: Clock | None = None


PLAIN_MACHINE = Machine()


class Balancer(NginxServer):
    """The shipped balancer on two ports, for http and https, of a machine.

    A mark is no unexpected line of its error log (the tests compare `marks`), nor is a large body.
    """

    def __init__(
        self,
        folder: Path,
        backends: Sequence[str],
        ports: tuple[int, int],
        machine: Machine = PLAIN_MACHINE,
    ) -> None:
        port, self.tls_port = ports
        expected = [
            r" \[notice\] ",
            "is buffered to a temporary file",
            _MARK.pattern,
            PROBE_CUT_OFF,
        ]
        conf = render(folder, port, self.tls_port, backends, machine.addresses)
        super().__init__(conf, machine.addresses[0], port, expected)
        if machine.clock:
            self._under = machine.clock.under

    @property
    def marks(self) -> list[str]:
        """What the error log says of the backends, in order: `ADDRESS MARK`."""
        found = [_MARK.search(line) for line in self.error_lines()]
        return [f"{match[1]} {match[2]}" for match in found if match]

    @property
    def marked_twice(self) -> int:
        """How often a backend had the same mark over its second scheme too."""
        return sum(", likewise over http" in line for line in self.error_lines())


class Fleet:
    """A balancer and its backends, which have `slots` in turn."""

    def __init__(self, balancer: Balancer, backends: Sequence[Backend], slots: int) -> None:
        self.balancer = balancer
        self.backends = backends
        self._slots = slots

    def hosts(self, backend: Backend, many: int) -> list[str]:
        """The first `many` domains that belong to a backend."""
        hosts = (f"app{n}.example" for n in count())
        found = (host for host in hosts if self.own(host) is backend)
        return [next(found) for _ in range(many)]

    def own(self, host: str) -> Backend:
        """The backend that a domain belongs to."""
        return self.backends[stock_index(host, self._slots) % len(self.backends)]

    def by(self, reply: Reply) -> Backend:
        """The backend that has given this answer, with status 200."""
        assert reply.status == 200
        return next(backend for backend in self.backends if backend.address == reply.text)

    async def tries(self, requests: int) -> list[int]:
        """How many backends each of so many requests was sent to, the fewest first."""
        await eventually_async(lambda: len(self.balancer.access_lines()) == requests)
        tried = [re.findall(" up=(.*?) us=", line) for line in self.balancer.access_lines()]
        return sorted(addresses.count(",") + 1 for [addresses] in tried)

    async def ask(self, request: Request, tls: bool = False) -> Reply:
        """Ask the balancer."""
        port = self.balancer.tls_port if tls else self.balancer.port
        return await asyncio.to_thread(ask, port, request, tls=tls)


@asynccontextmanager
async def served(nginx: NginxServer) -> AsyncIterator[None]:
    """Run an nginx within the block, and answer its probes while it starts and stops: a connection
    that waits to be accepted when a backend stops would be left open."""
    with ExitStack() as stack:
        await asyncio.to_thread(stack.enter_context, nginx)
        yield
        await asyncio.to_thread(stack.close)


@dataclass(frozen=True, slots=True)
class Listed:
    """How a list names the backends: with their port for http, with more slots than backends, and
    `also` with others."""

    with_ports: bool = False
    slots: int | None = None
    also: tuple[str, ...] = ()

    def entries(self, addresses: Sequence[str], port: int) -> list[str]:
        """The entries of the list."""
        ends = f":{port}" if self.with_ports else ""
        entries = [re.sub("(.*:.*)", r"[\1]", address) + ends for address in addresses]
        slots = [entries[n % len(entries)] for n in range(self.slots or len(entries))]
        return [*slots, *self.also]


PLAIN_LIST = Listed()


def _accepted(ports: set[int]) -> list[object]:
    """The connections that this process has accepted on these ports, and not closed."""
    return [
        each
        for each in psutil.Process().net_connections("tcp")
        if each.laddr.port in ports and each.status != psutil.CONN_LISTEN
    ]


@asynccontextmanager
async def running(
    folder: Path,
    backends: Sequence[Backend],
    replaced: Mapping[str, str] = MappingProxyType({}),
    listed: Listed = PLAIN_LIST,
    machine: Machine = PLAIN_MACHINE,
) -> AsyncIterator[Fleet]:
    """The backends, and a balancer in front of them; in its configuration and its Lua, what the
    patterns of `replaced` match is replaced."""
    http, https = free_ports(2)
    entries = listed.entries([backend.address for backend in backends], http)
    async with AsyncExitStack() as stack:
        # A handshake that a backend's stop cuts off ends later, when the balancer is gone.
        stack.push_async_callback(eventually_async, lambda: not _accepted({http, https}))
        for backend in backends:
            backend.ports = (http, https)
            await backend.start()
            stack.push_async_callback(backend.stop)
        balancer = Balancer(folder, entries, (http, https), machine)
        files = [balancer.conf, *(balancer.conf.parent / "lua").rglob("*.lua")]
        rewrite(files, {**_PATIENT, **replaced})
        await stack.enter_async_context(served(balancer))
        yield Fleet(balancer, backends, len(entries))
