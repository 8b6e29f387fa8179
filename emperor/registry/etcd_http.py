"""HTTPS to one member of etcd: how long it is waited for, how much of an answer is read, and what a
failure is called."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from socket import IPPROTO_TCP, SO_KEEPALIVE, SOL_SOCKET, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL
from typing import Generic, Self, TypeVar

from emperor.linux.no_certificates import no_certificates
from emperor.model.registry_access import RegistryAccess
from emperor.registry.etcd_rights import Denied
from emperor.registry.etcd_tls import Certificates
from emperor.registry.etcd_wire import ErrorReply, FailedReply, Verdict, wire_of
from emperor.registry.port import RegistryRefused

with no_certificates():
    import aiohttp

T = TypeVar("T")

CONNECT_SECONDS = 1.0
# A connection, TLS and an answer, each of which may take half a second.
READ_SECONDS = 2.0
# The largest value that etcd takes by default is 1.5 MiB, in base64 2 MiB.
LONGEST_REPLY_BYTES = 4 << 20
# Many domains may be asked for at once.
CONNECTIONS_TO_A_MEMBER = 32
# Two leases of a daemon, each of which is granted, renewed or ended.
_CONNECTIONS_FOR_LEASES = 4
# After so long a machine that has vanished counts as gone: 5 + 3 * 3 seconds.
_KEEPALIVE = ((TCP_KEEPIDLE, 5), (TCP_KEEPINTVL, 3), (TCP_KEEPCNT, 3))
# Codes of OpenSSL for a certificate that nobody known has signed.
_UNKNOWN_AUTHORITY = (18, 19, 20, 21)
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)


class Unanswered(Exception):
    """A member did not answer, or cannot do what was asked; another one may. `was_sent` tells
    whether it may have done it nevertheless."""

    def __init__(self, cause: str, was_sent: bool) -> None:
        super().__init__(cause)
        self.was_sent = was_sent


class TimedOut(Unanswered):
    """The member has not answered in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer within {seconds:g} s", was_sent=True)


class NoLease(RegistryRefused):
    """The lease has ended."""

    def __init__(self) -> None:
        super().__init__("the registry refuses it: the lease has ended")


class TooLong(RegistryRefused):
    """An answer is longer than is read."""

    def __init__(self) -> None:
        super().__init__(f"the registry answers with more than {LONGEST_REPLY_BYTES} bytes")


class TokenIsOld(Exception):
    """The member does not know the token."""


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """What is asked of a member, the kind of its answer, and how long that is waited for. A lease
    does not wait for the connections that other questions have."""

    path: str
    body: bytes
    kind: type[T]
    seconds: float = READ_SECONDS
    needs_leader: bool = False
    is_of_lease: bool = False


class Http:
    """Connections to members. An async context manager."""

    def __init__(self, access: RegistryAccess) -> None:
        self._certificates = Certificates(access)

    async def __aenter__(self) -> Self:
        jar = aiohttp.DummyCookieJar()
        short = aiohttp.TCPConnector(limit=0, limit_per_host=CONNECTIONS_TO_A_MEMBER)
        leases = aiohttp.TCPConnector(limit=0, limit_per_host=_CONNECTIONS_FOR_LEASES)
        long = aiohttp.TCPConnector(limit=0, force_close=True)
        self._session = aiohttp.ClientSession(connector=short, cookie_jar=jar)
        self._leases = aiohttp.ClientSession(connector=leases, cookie_jar=jar)
        self._streams = aiohttp.ClientSession(connector=long, cookie_jar=jar)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        await self._leases.close()
        await self._streams.close()

    async def post(self, member: str, question: Question[T], token: str) -> T:
        """An answer. Raises Unanswered, TokenIsOld, RegistryRefused, CannotReach."""
        url, body = member + question.path, BytesIO(question.body)
        headers = _headers(token, question.needs_leader)
        session = self._leases if question.is_of_lease else self._session
        try:
            async with (
                asyncio.timeout(question.seconds),
                session.post(
                    url, data=body, headers=headers, timeout=_TIMEOUT,
                    ssl=self._certificates.context(), allow_redirects=False,
                ) as response,
            ):  # fmt: skip
                status, content = response.status, await _content(response)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._unanswered(error, question.seconds) from error
        if status != 200:
            raise _failure(content, status)
        try:
            return wire_of(content, question.kind)
        except ValueError as error:
            cause = f"its answer is not that of etcd 3.4 or later: {error}"
            raise Unanswered(cause, was_sent=True) from error

    @asynccontextmanager
    async def stream(self, url: str, question: bytes, token: str) -> AsyncIterator["Lines"]:
        """The lines of an answer that does not end, from a member that has a leader. Raises
        like `post`."""
        headers = _headers(token, needs_leader=True)
        response: aiohttp.ClientResponse | None = None
        try:
            try:
                async with asyncio.timeout(READ_SECONDS):
                    response = await self._streams.post(
                        url, data=question, headers=headers, timeout=_TIMEOUT,
                        ssl=self._certificates.context(), allow_redirects=False,
                    )  # fmt: skip
                    if response.status != 200:
                        raise _failure(await _content(response), response.status)
            except (aiohttp.ClientError, TimeoutError) as error:
                raise self._unanswered(error, READ_SECONDS) from error
            _keep_alive(response)
            yield Lines(response)
        finally:
            if response is not None:
                _abort(response)

    def _unanswered(self, error: Exception, seconds: float) -> Unanswered:
        match error:
            case aiohttp.ConnectionTimeoutError():
                return Unanswered(f"no connection within {CONNECT_SECONDS:g} s", was_sent=False)
            case TimeoutError():
                return TimedOut(seconds)
        self._certificates.recheck()
        was_sent = not isinstance(error, aiohttp.ClientConnectorError)
        return Unanswered(_words(error), was_sent)


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


def failure_of(reply: ErrorReply) -> Exception:
    """What an answer with an error is."""
    match reply.verdict():
        case Verdict.AUTHENTICATE:
            return TokenIsOld()
        case Verdict.ASK_ANOTHER:
            return Unanswered(reply.cause(), was_sent=True)
        case Verdict.NO_LEASE:
            return NoLease()
        case Verdict.DENIED:
            return Denied()
        case Verdict.GIVE_UP:
            return RegistryRefused(f"the registry refuses it: {reply.cause()}")


def _failure(content: bytes, status: int) -> Exception:
    try:
        reply = wire_of(content, FailedReply).reply()
    except ValueError:
        reply = None
    if reply is not None:
        return failure_of(reply)
    if b"CommonName" in content:
        return RegistryRefused(
            "the registry refuses cert-file: etcd's gateway takes no certificate with a common"
            " name (CN); issue one without"
        )
    text = f"HTTP {status}: is it etcd 3.4 or later, with its gateway?"
    return Unanswered(text, was_sent=status >= 500)


def _headers(token: str, needs_leader: bool) -> dict[str, str]:
    headers = {"Authorization": token} if token else {}
    return {**headers, "Grpc-Metadata-hasleader": "true"} if needs_leader else headers


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


def _abort(response: aiohttp.ClientResponse) -> None:
    """Close a connection without the end of TLS, for which a member that hangs would be waited
    for."""
    if response.connection and response.connection.transport:
        response.connection.transport.abort()
    response.close()


def _words(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            cause = error.certificate_error
            why = getattr(cause, "verify_message", "") or str(cause)
            is_unknown = getattr(cause, "verify_code", 0) in _UNKNOWN_AUTHORITY
            cure = "; name the authority that has signed it in ca-file" if is_unknown else ""
            return f"its certificate is not valid: {why}{cure}"
        case aiohttp.ClientConnectorSSLError():
            # Its errno is OpenSSL's, and 1 would read as EPERM.
            why = getattr(error.os_error, "reason", None) or str(error.os_error)
            return (
                f"TLS fails: {why.replace('_', ' ').lower()}; is it https, and what is in its log?"
            )
        case aiohttp.ClientConnectorError():
            number = error.os_error.errno
            return os.strerror(number) if number else str(error.os_error)
        case _ if isinstance(error.__cause__, ssl.SSLError) and error.__cause__.reason:
            why = error.__cause__.reason.replace("_", " ").lower()
            asks = "; if it wants a certificate, set cert-file and key-file, or name its port for"
            return f"TLS fails: {why}" + (f"{asks} clients" if "certificate" in why else "")
        case _:
            return str(error) or type(error).__name__
