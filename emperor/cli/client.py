"""A client of the control API on RUN_DIR/control.sock. Every error of the transport and of HTTP
becomes an exception of cli/failure.py."""

import asyncio
import errno
import os
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urlencode

from yarl import URL

from emperor.cli.failure import Failed, NoSuchVassal, Unreachable
from emperor.cli.records import parse
from emperor.linux.no_certificates import no_certificates
from emperor.model.activity import Activity
from emperor.model.authority import Operation
from emperor.model.bases_report import BasesReport
from emperor.model.client_limits import MOST_PER_TENANT
from emperor.model.history import Stats, VassalHistory
from emperor.model.notice import NoticeTest
from emperor.model.problem import Problem, ProblemCode
from emperor.model.status import EmperorStatus, SettingsInEffect, VassalDetail

with no_certificates():
    import aiohttp

# A healthy daemon answers within milliseconds, 10,000 vassals within a second.
ANSWER_SECONDS = 10.0
LONGEST_LINE = 2**20

_NOT_RUNNING = "(is it running? systemctl status emperord)"
_CAUSE = {
    errno.ENOENT: f"no such file {_NOT_RUNNING}",
    errno.ECONNREFUSED: f"nobody listens there {_NOT_RUNNING}",
    errno.EACCES: "permission denied (its mode should be 0666, and that of its folder 0755)",
}
_RETRY_SECONDS = 0.005
_QUEUE_IS_FULL = (errno.EAGAIN, errno.ENOTCONN)


class Client:
    """One connection pool to the daemon. Every method raises Unreachable, and Failed for an
    answer that is an error or cannot be understood."""

    def __init__(self, session: aiohttp.ClientSession, socket: Path) -> None:
        self._session = session
        self._socket = socket

    async def status(self) -> str:
        """The JSON of a Report."""
        async with self._request("GET", "status", ANSWER_SECONDS) as response:
            return await response.text()

    async def activity(self, match: str, most: int, measured: Collection[str]) -> Activity:
        """The vassals that do something, or whose names contain `match`."""
        asked = [("match", match), ("most", most), *(("measure", each) for each in measured)]
        async with self._request("GET", f"activity?{urlencode(asked)}", ANSWER_SECONDS) as response:
            return parse(Activity, await response.read())

    async def settings(self) -> SettingsInEffect:
        """The settings of the daemon."""
        async with self._request("GET", "settings", ANSWER_SECONDS) as response:
            return parse(SettingsInEffect, await response.read())

    async def bases(self) -> BasesReport:
        """The preloaded interpreters."""
        async with self._request("GET", "bases", ANSWER_SECONDS) as response:
            return parse(BasesReport, await response.read())

    async def host(self, host: str) -> VassalDetail:
        """All about the vassal that answers for a host. Raises NoSuchVassal too."""
        path = f"hosts/{quote(host, safe='')}"
        async with self._request("GET", path, ANSWER_SECONDS) as response:
            return parse(VassalDetail, await response.read())

    async def history(self, domain: str) -> VassalHistory:
        """What is kept of the past of a vassal. Raises NoSuchVassal too."""
        async with self._request("GET", f"{_path(domain)}/history", ANSWER_SECONDS) as response:
            return parse(VassalHistory, await response.read())

    async def stats(self, since: datetime, domains: Collection[str] = ()) -> Stats:
        """The figures of these vassals since then, or of all."""
        query = urlencode([("since", since.isoformat()), *(("domain", each) for each in domains)])
        async with self._request("GET", f"stats?{query}", ANSWER_SECONDS) as response:
            return parse(Stats, await response.read())

    async def log(self, domain: str, lines: int) -> bytes:
        """The last lines of the log of a vassal. Raises NoSuchVassal too."""
        path = f"{_path(domain)}/log?lines={lines}"
        async with self._request("GET", path, ANSWER_SECONDS) as response:
            return await response.read()

    async def follow_log(self, domain: str, lines: int) -> AsyncGenerator[bytes, None]:
        """The last lines of the log of a vassal, then what is appended. Ends when the daemon ends,
        or the vassal is gone. Raises NoSuchVassal too."""
        path = f"{_path(domain)}/log?lines={lines}&follow=1"
        async with self._request("GET", path, None) as response:
            async for piece in response.content.iter_any():
                yield piece

    async def order(self, domain: str, order: Operation) -> VassalDetail:
        """Give an order, and return the vassal when it is carried out. The daemon limits the time
        by its start-timeout and stop-timeout. Raises NoSuchVassal too."""
        path = f"{_path(domain)}/{order.value}"
        async with self._request("POST", path, None) as response:
            return parse(VassalDetail, await response.read())

    async def drain(self) -> EmperorStatus:
        """Have load balancers sent elsewhere, and return the status of the daemon."""
        async with self._request("POST", "drain", ANSWER_SECONDS) as response:
            return parse(EmperorStatus, await response.read())

    async def undrain(self) -> EmperorStatus:
        """Undo `drain`."""
        async with self._request("POST", "undrain", ANSWER_SECONDS) as response:
            return parse(EmperorStatus, await response.read())

    async def notify_test(self) -> NoticeTest:
        """Have a test notice sent by each way. The daemon limits the time."""
        async with self._request("POST", "notify-test", None) as response:
            return parse(NoticeTest, await response.read())

    async def upgrade(self) -> None:
        """Have the version that is installed now take the daemon's place. Returns when it is about
        to do so; the next answer is the new version's. Raises Failed where it cannot."""
        async with self._request("POST", "upgrade", None):
            pass

    async def events(
        self, past: int, domains: Collection[str] = (), follows: bool = True
    ) -> AsyncGenerator[bytes, None]:
        """The JSON of a TransitionEvent each: up to `past` earlier events, then each new one if it
        `follows`; only those of `domains`, if there are any. Ends when the daemon ends."""
        query = urlencode(
            [("past", past), ("follow", int(follows)), *(("domain", each) for each in domains)]
        )
        async with self._request("GET", f"events?{query}", None) as response:
            async for line in response.content:
                yield line

    @asynccontextmanager
    async def _request(
        self, method: str, path: str, seconds: float | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        url = URL(f"http://emperord/v1/{path}", encoded=True)
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=ANSWER_SECONDS)
        try:
            async with await self._connected(method, url, timeout) as response:
                if response.status not in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
                    raise _error(response.status, await response.read())
                yield response
        except aiohttp.ClientConnectorError as error:
            raise Unreachable(self._cannot_reach(cause_of(error.os_error))) from error
        except TimeoutError as error:
            cause = f"no answer within {ANSWER_SECONDS:g} s {_NOT_RUNNING}"
            raise Unreachable(self._cannot_reach(cause)) from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise Unreachable(
                self._cannot_reach("it closed the connection before it had answered")
            ) from error

    async def _connected(
        self, method: str, url: URL, limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        """Send the request. While the queue of the socket is full, as in a flood of connections,
        the kernel makes no connection (EAGAIN), and asyncio finds that out when it writes."""
        loop = asyncio.get_running_loop()
        end = loop.time() + ANSWER_SECONDS
        while True:
            try:
                return await self._session.request(method, url, timeout=limits)
            except aiohttp.ClientOSError as error:
                if error.errno not in _QUEUE_IS_FULL or loop.time() > end:
                    raise
            await asyncio.sleep(_RETRY_SECONDS)

    def _cannot_reach(self, cause: str) -> str:
        return f"cannot reach emperord at {self._socket}: {cause}"


@asynccontextmanager
async def connect(run_dir: Path) -> AsyncIterator[Client]:
    """A client of the daemon whose setting run-dir is `run_dir`. Nothing is sent yet."""
    socket = run_dir / "control.sock"
    # A tenant has fewer connections than aiohttp makes by default.
    limit = 100 if os.geteuid() == 0 else MOST_PER_TENANT // 2
    connector = aiohttp.UnixConnector(str(socket), limit=limit)
    async with aiohttp.ClientSession(connector=connector, read_bufsize=LONGEST_LINE) as session:
        yield Client(session, socket)


def _path(domain: str) -> str:
    return f"vassals/{quote(domain, safe='')}"


def cause_of(error: OSError) -> str:
    """Why there is no connection to control.sock, and what to do, after a colon."""
    if error.errno in _CAUSE:
        return _CAUSE[error.errno]
    return os.strerror(error.errno).lower() if error.errno else str(error)


def _error(status: int, body: bytes) -> Failed:
    try:
        problem = parse(Problem, body)
    except Failed:
        return Failed(f"HTTP {status} without a reason")
    is_unknown = problem.code == ProblemCode.NO_SUCH_VASSAL.code
    return NoSuchVassal(problem.detail) if is_unknown else Failed(problem.detail)
