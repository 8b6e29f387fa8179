"""The members of an etcd cluster, asked over HTTPS: which of them is asked, with which token, how
long it is waited for, and how much of an answer is read.

etcd's gateway has its tokens in memory. A member that was restarted knows none, and a new one needs
a quorum.
"""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from socket import IPPROTO_TCP, SO_KEEPALIVE, SOL_SOCKET, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL
from typing import Self, TypeVar

import aiohttp
import msgspec

from emperor.model.registry_access import RegistryAccess
from emperor.model.settings import SettingsError
from emperor.registry.access import read_password
from emperor.registry.etcd_wire import ErrorReply, TokenReply, Verdict, encoded
from emperor.registry.port import CannotReach, RegistryRefused

T = TypeVar("T")

CONNECT_SECONDS = 1.0
READ_SECONDS = 1.5
WRITE_SECONDS = 4.0
# An election takes some seconds, in which no member takes a change.
CHANGE_PATIENCE_SECONDS = 10.0
PAUSE_SECONDS = 0.2
# The largest value that etcd takes by default is 1.5 MiB, in base64 2 MiB.
LONGEST_REPLY_BYTES = 4 << 20
# Many domains may be asked for at once.
_CONNECTIONS_TO_A_MEMBER = 32
# After so long a machine that has vanished counts as gone: 5 + 3 * 3 seconds.
_KEEPALIVE = ((TCP_KEEPIDLE, 5), (TCP_KEEPINTVL, 3), (TCP_KEEPCNT, 3))


class Unanswered(Exception):
    """A member did not answer, or cannot do what was asked; another one may. `was_sent` tells
    whether it may have done it nevertheless."""

    def __init__(self, cause: str, was_sent: bool) -> None:
        super().__init__(cause)
        self.was_sent = was_sent


class NoLease(Exception):
    """The lease has ended."""


class TooLong(Exception):
    """An answer is longer than is read."""


class TokenIsOld(Exception):
    """The member does not know the token."""


class Members:
    """All members, as `access` names them. An async context manager."""

    def __init__(self, access: RegistryAccess) -> None:
        self._access = access
        # So that the machines of a fleet do not all ask the first one.
        self._order = random.sample(access.endpoints, len(access.endpoints))
        self._tls: ssl.SSLContext | None = None
        self._token: str | None = None
        self._authenticating = asyncio.Lock()

    async def __aenter__(self) -> Self:
        jar = aiohttp.DummyCookieJar()
        short = aiohttp.TCPConnector(limit=0, limit_per_host=_CONNECTIONS_TO_A_MEMBER)
        long = aiohttp.TCPConnector(limit=0, force_close=True)
        self._session = aiohttp.ClientSession(connector=short, cookie_jar=jar)
        self._streams = aiohttp.ClientSession(connector=long, cookie_jar=jar)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        await self._streams.close()

    def by_preference(self) -> list[str]:
        """The endpoints of all members. The one that answered last is the first."""
        return list(self._order)

    def prefer(self, member: str) -> None:
        """It has answered."""
        if self._order[0] != member:
            self._order.remove(member)
            self._order.insert(0, member)

    def avoid(self, member: str) -> None:
        """It has not answered."""
        if len(self._order) > 1 and self._order[0] == member:
            self._order.remove(member)
            self._order.append(member)

    async def read(self, path: str, question: bytes, kind: type[T]) -> T:
        """What the first member says that answers. Raises CannotReach, RegistryRefused, NoLease,
        TooLong."""
        causes: dict[str, str] = {}
        for member in self.by_preference():
            try:
                return await self.ask(member, path, question, kind, READ_SECONDS)
            except Unanswered as error:
                causes[member] = str(error)
        raise cannot_reach(causes)

    async def change(self, path: str, question: bytes, kind: type[T]) -> tuple[T, bool]:
        """The same for a change, for which members are asked until a new leader is elected. Also
        tells whether a member asked before may have made the change."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CHANGE_PATIENCE_SECONDS
        may_have_happened = False
        causes: dict[str, str] = {}
        while True:
            for member in self.by_preference():
                try:
                    answer = await self.ask(member, path, question, kind, WRITE_SECONDS)
                except Unanswered as error:
                    may_have_happened |= error.was_sent
                    causes[member] = str(error)
                    if loop.time() > deadline:
                        raise cannot_reach(causes) from error
                else:
                    return answer, may_have_happened
            await asyncio.sleep(PAUSE_SECONDS)

    async def ask(
        self, member: str, path: str, question: bytes, kind: type[T], seconds: float
    ) -> T:
        """What one member says. Raises Unanswered, RegistryRefused, NoLease, TooLong."""
        try:
            async with asyncio.timeout(seconds):
                answer = await self._with_a_token(member, path, question, kind)
        except TimeoutError as error:
            self.avoid(member)
            raise Unanswered(f"no answer within {seconds:g} s", was_sent=True) from error
        except Unanswered:
            self.avoid(member)
            raise
        self.prefer(member)
        return answer

    @asynccontextmanager
    async def stream(self, member: str, path: str, question: bytes) -> AsyncIterator["Lines"]:
        """The lines of an answer that does not end, from a member that has a leader. Raises
        Unanswered."""
        token = await self._current_token(member)
        headers = {"Authorization": token, "Grpc-Metadata-hasleader": "true"}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        try:
            async with asyncio.timeout(READ_SECONDS):
                response = await self._streams.post(
                    member + path, data=question, headers=headers, timeout=timeout,
                    ssl=self._context(), allow_redirects=False,
                )  # fmt: skip
        except (aiohttp.ClientError, TimeoutError) as error:
            self.avoid(member)
            raise self._unanswered(error) from error
        try:
            _keep_alive(response)
            yield Lines(response)
        finally:
            response.close()

    def forget_token(self) -> None:
        """A member does not know it."""
        self._token = None

    async def _with_a_token(self, member: str, path: str, question: bytes, kind: type[T]) -> T:
        token = await self._current_token(member)
        try:
            return await self._post(member, path, question, kind, token)
        except TokenIsOld:
            if self._token == token:
                self._token = None
        token = await self._current_token(member)
        try:
            return await self._post(member, path, question, kind, token)
        except TokenIsOld as error:
            raise Unanswered("it does not take the token that it gave", False) from error

    async def _current_token(self, member: str) -> str:
        if not self._access.user or self._access.password_file is None:
            return ""
        async with self._authenticating:
            if self._token is None:
                self._token = await self._new_token(member)
            return self._token

    async def _new_token(self, member: str) -> str:
        assert self._access.password_file
        try:
            password = await asyncio.to_thread(read_password, self._access.password_file)
        except SettingsError as error:
            raise CannotReach(str(error)) from error
        question = encoded({"name": self._access.user, "password": password})
        try:
            reply = await self._post(member, "/v3/auth/authenticate", question, TokenReply, "")
        except RegistryRefused as error:
            if "authentication is not enabled" in str(error):
                return ""
            raise
        return reply.token

    async def _post(self, member: str, path: str, question: bytes, kind: type[T], token: str) -> T:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        try:
            async with self._session.post(
                member + path, data=question, headers={"Authorization": token} if token else {},
                timeout=timeout, ssl=self._context(), allow_redirects=False,
            ) as response:  # fmt: skip
                status = response.status
                content = await _content(response)
        except aiohttp.ClientError as error:
            raise self._unanswered(error) from error
        if status != 200:
            raise failure(content, status)
        try:
            return msgspec.json.decode(content, type=kind, strict=False)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unanswered(
                f"its answer is not that of etcd 3.4 or later: {error}", True
            ) from error

    def _context(self) -> ssl.SSLContext:
        """Raises CannotReach."""
        if self._tls is None:
            access = self._access
            try:
                self._tls = ssl.create_default_context(cafile=access.ca_file)
                if access.cert_file:
                    self._tls.load_cert_chain(access.cert_file, access.key_file)
            except OSError as error:
                files = " and ".join(
                    str(file)
                    for file in (access.ca_file, access.cert_file, access.key_file)
                    if file
                )
                raise CannotReach(f"cannot use {files}: {error.strerror or error}") from error
        return self._tls

    def _unanswered(self, error: Exception) -> Unanswered:
        # The files may be renewed before those that were read expire.
        if not isinstance(error, aiohttp.ServerTimeoutError | TimeoutError):
            self._tls = None
        not_sent = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
        return Unanswered(_words(error), was_sent=not not_sent)


class Lines:
    """The lines of an answer that does not end. A wait for one may be cancelled without loss."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._read = bytearray()
        self._searched = 0

    async def next(self) -> bytes:
        """The next line. Raises Unanswered at the end, TooLong."""
        while (end := self._read.find(b"\n", self._searched)) < 0:
            self._searched = len(self._read)
            if self._searched > LONGEST_REPLY_BYTES:
                raise TooLong
            try:
                some = await self._response.content.readany()
            except aiohttp.ClientError as error:
                raise Unanswered(_words(error), was_sent=True) from error
            if not some:
                raise Unanswered("it has ended the watch", was_sent=True)
            self._read += some
        line = bytes(self._read[:end])
        del self._read[: end + 1]
        self._searched = 0
        return line


def failure(content: bytes, status: int) -> Exception:
    """What an answer with an error is."""
    try:
        reply = msgspec.json.decode(content, type=ErrorReply)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = f"HTTP {status}: is it etcd 3.4 or later, with its gateway?"
        return Unanswered(text, was_sent=status >= 500)
    return failure_of(reply)


def failure_of(reply: ErrorReply) -> Exception:
    """The same."""
    match reply.verdict():
        case Verdict.AUTHENTICATE:
            return TokenIsOld()
        case Verdict.ASK_ANOTHER:
            return Unanswered(reply.cause(), was_sent=True)
        case Verdict.NO_LEASE:
            return NoLease()
        case Verdict.GIVE_UP:
            return RegistryRefused(f"the registry refuses it: {reply.cause()}")


def cannot_reach(causes: dict[str, str]) -> CannotReach:
    """What to say of members none of which answered."""
    each = "; ".join(f"{member}: {cause}" for member, cause in sorted(causes.items()))
    return CannotReach(f"cannot reach the registry: {each}")


async def _content(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > LONGEST_REPLY_BYTES:
            response.close()
            raise TooLong
    return bytes(content)


def _keep_alive(response: aiohttp.ClientResponse) -> None:
    """A network may lose a connection on which nothing is sent, and tell neither end."""
    if response.connection is None or response.connection.transport is None:
        return
    link = response.connection.transport.get_extra_info("socket")
    link.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        link.setsockopt(IPPROTO_TCP, option, value)


def _words(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            cause = error.certificate_error
            why = getattr(cause, "verify_message", "") or str(cause)
            return f"its certificate is not valid: {why}"
        case aiohttp.ConnectionTimeoutError():
            return f"no connection within {CONNECT_SECONDS:g} s"
        case TimeoutError():
            return f"no answer within {READ_SECONDS:g} s"
        case aiohttp.ClientConnectorError():
            return error.os_error.strerror or str(error.os_error)
        case _:
            return str(error) or type(error).__name__
