"""The shipped balancer on loopback, and backends that do what a test wants."""

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import MappingProxyType

import psutil
from aiohttp import web

from docs.examples.balancer import render
from docs.examples.rewriting import rewrite
from tests.balancer.vectors import stock_index
from tests.eventually import eventually_async
from tests.faults.clock import Clock
from tests.http_client import Reply, Request, ask
from tests.nginx_server import NginxServer, free_ports

# Every address of 127.0.0.0/8 belongs to the loopback interface.
ADDRESSES = ("127.0.0.11", "127.0.0.12", "127.0.0.13")
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


@dataclass(frozen=True, slots=True)
class Heard:
    """A request that reached a backend. Names of `headers` are in lower case."""

    line: str
    headers: Mapping[str, str]
    body: bytes
    tls: bool

    @property
    def host(self) -> str:
        """The name in its Host header."""
        return self.headers["host"]


class Backend:
    """Answers on both ports of its address; `health` is the status that it answers a probe, as soon
    as `may_tell`; over https it may be another, `health_over_tls`.

    Unless `answer` is replaced, it answers with its address.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.ports = (0, 0)
        self._runner: web.ServerRunner | None = None
        self._listening: dict[int, tuple[socket.socket, web.SockSite]] = {}
        self.heard: list[Heard] = []
        self.probes: list[Heard] = []
        self.health = 200
        self.health_over_tls: int | None = None
        self.may_tell = asyncio.Event()
        self.may_tell.set()
        self.answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]] = self.well

    async def start(self) -> None:
        """Listen."""
        await self.listen(*self.ports)

    async def listen(self, http: int | None, https: int | None) -> None:
        """Answer on these ports."""
        self._runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.01)
        await self._runner.setup()
        for port, tls in ((http, None), (https, _certificate())):
            if port:
                family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
                server = socket.create_server((self.address, port), family=family, backlog=128)
                site = web.SockSite(self._runner, server, ssl_context=tls)
                self._listening[port] = server, site
                await site.start()

    async def refuse(self, *ports: int) -> None:
        """Refuse connections on these ports, by default on all, and go on with those that are
        open."""
        refusing = [self._listening.pop(port) for port in ports or list(self._listening)]
        # asyncio accepts a connection some turns of its loop before a server has it. If the server
        # is closed in between, nobody closes the connection.
        for server, _ in refusing:
            asyncio.get_running_loop().remove_reader(server)
        for _ in range(5):
            await asyncio.sleep(0)
        for _, site in refusing:
            await site.stop()

    async def stop(self) -> None:
        """Refuse connections, and drop those that are open."""
        if self._runner is not None:
            await self.refuse()
            await self._runner.cleanup()
            self._runner = None

    async def well(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer as a backend that is well."""
        return web.Response(text=self.address)

    async def close(self, request: web.BaseRequest) -> web.StreamResponse:
        """Take the request, and close the connection."""
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async def close_once(self, request: web.BaseRequest) -> web.StreamResponse:
        """Close the connection, as if it had gone stale, and be well from then on."""
        self.answer = self.well
        return await self.close(request)

    async def hang(self, request: web.BaseRequest) -> web.StreamResponse:
        """Take the request, and answer when it is too late."""
        await asyncio.Event().wait()
        raise AssertionError

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        heard = Heard(
            f"{request.method} {request.raw_path}",
            {name.lower(): value for name, value in request.headers.items()},
            await request.content.read(),
            request.secure,
        )
        if request.path == "/emperord-health" and heard.host == "-emperord-":
            self.probes.append(heard)
            await self.may_tell.wait()
            status = (self.health_over_tls if heard.tls else None) or self.health
            return web.Response(status=status, text="draining\n")
        self.heard.append(heard)
        return await self.answer(request)


class Informing(Backend):
    """Answers everything by a status that ends no reply, such as 101; `raw` is what came over its
    connections."""

    def __init__(self, address: str, status: str) -> None:
        super().__init__(address)
        self._status = status

    async def start(self) -> None:
        """Listen."""
        self.raw: list[bytes] = []
        http, https = self.ports
        self._servers = [
            await asyncio.start_server(self._serve, self.address, http),
            await asyncio.start_server(self._serve, self.address, https, ssl=_certificate()),
        ]

    async def stop(self) -> None:
        """Refuse connections."""
        for server in self._servers:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                self.raw.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(f"HTTP/1.1 {self._status}\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()


class BlackHole(Backend):
    """Its queue is full, so that the kernel answers no SYN."""

    async def start(self) -> None:
        """Fill the queue."""
        where = (self.address, self.ports[0])
        self._sockets = [socket.create_server(where, backlog=0), socket.create_connection(where)]

    async def stop(self) -> None:
        """Empty the queue."""
        for each in self._sockets:
            each.close()


class Frozen(Backend):
    """Its kernel accepts connections, and nobody reads what is sent."""

    async def start(self) -> None:
        """Listen."""
        self._sockets = [
            socket.create_server((self.address, port), backlog=4096) for port in self.ports
        ]

    async def stop(self) -> None:
        """Refuse connections."""
        for each in self._sockets:
            each.close()


class Mute(Backend):
    """Its port for https accepts connections, and says nothing."""

    async def start(self) -> None:
        """Listen."""
        http, https = self.ports
        self._mute = socket.create_server((self.address, https), backlog=4096)
        await self.listen(http, None)

    async def stop(self) -> None:
        """Refuse connections."""
        self._mute.close()
        await super().stop()


def _certificate() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(
        "/etc/ssl/certs/ssl-cert-snakeoil.pem", "/etc/ssl/private/ssl-cert-snakeoil.key"
    )
    return context


def three() -> list[Backend]:
    """The usual backends."""
    return [Backend(address) for address in ADDRESSES]


class Fleet:
    """A balancer and its backends, which have `slots` in turn."""

    def __init__(self, balancer: Balancer, backends: Sequence[Backend], slots: int) -> None:
        self.balancer = balancer
        self.backends = backends
        self._slots = slots

    def hosts(self, backend: Backend, many: int) -> list[str]:
        """So many domains that belong to a backend."""
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
    """It runs, and its probes are answered while it starts and stops: a connection that waits to be
    accepted when a backend stops would be left open."""
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
