"""Who asks on control.sock, and whose connections are served."""

import asyncio
import json
import socket
from collections.abc import Callable
from contextlib import suppress

from emperor.linux.limits import descriptors
from emperor.linux.peer import Connection, peer_of
from emperor.model.authority import Administrators, Caller
from emperor.model.fd_budget import FdBudget
from emperor.model.problem import CONTENT_TYPE, ProblemCode, problem
from emperor.model.seats import MOST_PER_TENANT, Seats
from emperor.model.status import as_json
from emperor.supervisor.vassals import Vassals
from emperor.web.aiohttp_server import web


def _too_many() -> bytes:
    """The answer to a connection that gets no seat."""
    code = ProblemCode.TOO_MANY_CONNECTIONS
    why = (
        f"cannot answer: this user has {MOST_PER_TENANT} connections already, or all users"
        " together have as many as emperord serves; close some, or try again"
    )
    body = json.dumps(as_json(problem(code, why)))
    head = (
        f"HTTP/1.1 {code.status} Too Many Requests\r\nContent-Type: {CONTENT_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return (head + body).encode()


_TOO_MANY = _too_many()


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
        self._seats = Seats(budget.tenants)

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
            await asyncio.sleep(self._seats.delay(caller.uid, now))

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
        seat = None
        if connection.fileno() < self._budget.held:
            is_stranger = not self._has_vassals(caller.uid)
            seat = self._seats.take(caller.uid, is_stranger=is_stranger)
        if seat is None:
            with connection, suppress(OSError):
                connection.send(_TOO_MANY)
            return None
        return lambda: _Seated(protocol(), lambda: self._seats.leave(seat))

    def of(self, connection: Connection) -> Caller:
        """Who is at the other end. Raises OSError."""
        peer = peer_of(connection)
        return Caller(peer.uid, self._administrators.include(peer))


def callers_of(gid: int | None, daemon: int, vassals: Vassals) -> Callers:
    """The callers of a daemon that runs as the user `daemon`. Root, this user and the members of
    the group `gid` are administrators, and each user whose `vassals` there are is a tenant."""
    administrators = Administrators(frozenset({0, daemon}), gid)
    return Callers(administrators, descriptors(), lambda uid: bool(vassals.owned_by(uid)))


class _Seated(asyncio.Protocol):
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
