"""Backends that do what a test wants: they answer, refuse, hang, or say what no backend should."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import web

# Every address of 127.0.0.0/8 belongs to the loopback interface.
ADDRESSES = ("127.0.0.11", "127.0.0.12", "127.0.0.13")
# From accept(2) to the call of connection_made, and some to spare.
_TURNS_OF_AN_ACCEPT = 5


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
        for _ in range(_TURNS_OF_AN_ACCEPT):
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
