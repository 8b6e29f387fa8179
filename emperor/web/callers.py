"""Who asks on control.sock, and whose connections are served."""

import asyncio
import json
import re
import socket
from collections.abc import Callable
from contextlib import suppress

from emperor.linux.limits import descriptors
from emperor.linux.peer import Connection, peer_of
from emperor.model.authority import Administrators, Caller
from emperor.model.client_limits import MOST_PER_TENANT, ClientLimits
from emperor.model.fd_budget import FdBudget
from emperor.model.problem import CONTENT_TYPE, ProblemCode, problem
from emperor.model.status import as_json
from emperor.supervisor.vassals import Vassals
from emperor.web.aiohttp_server import web

_CODE = ProblemCode.TOO_MANY_CONNECTIONS
_WHY = (
    f"cannot answer: this user has {MOST_PER_TENANT} connections already, or all users"
    " together have as many as emperord serves; close some, or try again"
)
_PAGE = f"""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_CODE.title}</title>
<h1>{_CODE.title}</h1>
<p>{_WHY}. Each window of the console has one.</p>
</html>
"""
# The head of a request, as far as it is looked at.
_HEAD_BYTES = 8192
_WANTS_PAGE = re.compile(rb"\r\naccept:[^\r\n]*\btext/html\b", re.IGNORECASE)


def _too_many(content_type: str, body: str) -> bytes:
    """The answer to a connection that is not served."""
    head = (
        f"HTTP/1.1 {_CODE.status} Too Many Requests\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nContent-Security-Policy: default-src 'none'\r\n"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return (head + body).encode()


_AS_PROBLEM = _too_many(CONTENT_TYPE, json.dumps(as_json(problem(_CODE, _WHY))))
_AS_PAGE = _too_many("text/html; charset=utf-8", _PAGE)


def _refuse(connection: socket.socket) -> None:
    """Answer and close a connection. This does not wait for the request, which a browser has sent
    by now."""
    with connection, suppress(OSError):
        begun = b""
        with suppress(BlockingIOError):
            begun = connection.recv(_HEAD_BYTES, socket.MSG_DONTWAIT)
        connection.send(_AS_PAGE if _WANTS_PAGE.search(begun) else _AS_PROBLEM)


class Callers:
    """Tells administrators from tenants, and bounds the connections and requests of the latter.
    `has_vassals` tells whether a user has any."""

    def __init__(
        self,
        administrators: Administrators,
        budget: FdBudget,
        has_vassals: Callable[[int], bool],
    ) -> None:
        self._administrators = administrators
        self._budget = budget
        self._has_vassals = has_vassals
        self._limits = ClientLimits(budget.tenants)

    def caller(self, request: web.Request) -> Caller:
        """Who has connected. Raises ConnectionError where the client has left."""
        connection = request.get_extra_info("socket")
        try:
            if connection is None:
                raise ConnectionResetError("the client has left")
            return self.of(connection)
        except OSError as error:
            raise ConnectionResetError("the client has left") from error

    async def turn(self, caller: Caller) -> None:
        """Wait while this caller has asked more often than a tenant may."""
        if not caller.is_administrator:
            now = asyncio.get_running_loop().time()
            await asyncio.sleep(self._limits.delay(caller.uid, now))

    def admit(
        self, connection: socket.socket, protocol: Callable[[], asyncio.Protocol]
    ) -> Callable[[], asyncio.Protocol] | None:
        """The protocol for a new connection; None: it was answered that there are too many, and
        closed."""
        try:
            caller = self.of(connection)
        except OSError:
            connection.close()
            return None
        if caller.is_administrator:
            return protocol
        served = None
        if connection.fileno() < self._budget.held:
            is_stranger = not self._has_vassals(caller.uid)
            served = self._limits.take(caller.uid, is_stranger=is_stranger)
        if served is None:
            _refuse(connection)
            return None
        return lambda: _Limited(protocol(), lambda: self._limits.leave(served))

    def of(self, connection: Connection) -> Caller:
        """Who is at the other end. Raises OSError."""
        peer = peer_of(connection)
        return Caller(peer.uid, self._administrators.include(peer))


def callers_of(gid: int | None, daemon: int, vassals: Vassals) -> Callers:
    """The callers of a daemon that runs as the user `daemon`. Root, this user and the members of
    the group `gid` are administrators, and each user whose `vassals` there are is a tenant."""
    administrators = Administrators(frozenset({0, daemon}), gid)
    return Callers(administrators, descriptors(), lambda uid: bool(vassals.owned_by(uid)))


class _Limited(asyncio.Protocol):
    """Passes all on to another protocol, and tells when the connection has ended."""

    def __init__(self, inner: asyncio.Protocol, leave: Callable[[], None]) -> None:
        self._inner = inner
        self._leave = leave

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self._inner.connection_lost(exc)
