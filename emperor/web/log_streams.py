"""GET /v1/vassals/DOMAIN/log of the control API: the end of a log, and what is appended to it.

The files of the logs are root's, and tenants cannot open them, so the daemon reads for them.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from emperor.linux.log_owner import LogPosition, Part, find_end, read_on, read_piece
from emperor.model.authority import Caller
from emperor.model.problem import ProblemCode
from emperor.supervisor.records import Vassal
from emperor.web.aiohttp_server import web
from emperor.web.problems import ApiError, number
from emperor.web.report import Reporter

LOG_LINES = 20
_HEADERS = {"Content-Type": "text/plain; charset=utf-8"}


class LogStreams:
    """Every log that somebody reads. `find` tells which vassal a request is about, and raises
    ApiError if the caller may not read its log."""

    def __init__(self, reporter: Reporter, find: Callable[[web.Request, Caller], Vassal]) -> None:
        self._reporter = reporter
        self._find = find
        self._followers: set[asyncio.Event] = set()
        self._has_ended = False

    async def answer(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """The last lines. With `?follow=1`, what is appended too, until the client leaves, the
        daemon ends, or the vassal is no longer there for the caller."""
        lines, vassal = number(request, "lines", LOG_LINES), self._find(request, caller)
        response = web.StreamResponse(headers=_HEADERS)
        with self._woken_by(vassal.spec.domain) as is_written:
            path = self._reporter.log_of(vassal)
            start, end = await self._end(vassal, path, caller, lines)
            await response.prepare(request)
            # A reader that leaves is no fault.
            with suppress(ConnectionError):
                while (piece := await _piece(path, start, end, caller)).text:
                    await response.write(piece.text)
                    start = piece.end
                if request.query.get("follow") == "1":
                    await self._follow(request, response, caller, is_written, end)
        return response

    async def _follow(
        self,
        request: web.Request,
        response: web.StreamResponse,
        caller: Caller,
        is_written: asyncio.Event,
        end: LogPosition,
    ) -> None:
        """Write what is appended after that place."""
        more: Part | None = Part(b"", end)
        while more and not self._has_ended:
            if more.text:
                # A slow reader is waited for, and then gets the end of what it has missed.
                await response.write(more.text)
            await is_written.wait()
            is_written.clear()
            more = await self._more(request, caller, more)

    def end(self) -> None:
        """End all streams."""
        self._has_ended = True
        for follower in self._followers:
            follower.set()

    async def _end(
        self, vassal: Vassal, path: str, caller: Caller, lines: int
    ) -> tuple[LogPosition, LogPosition]:
        found = await asyncio.to_thread(find_end, path, lines, _reader(caller))
        if found is None:
            why = (
                f"cannot show the log of {vassal.spec.domain}: there is none that uid {caller.uid}"
                " may read; a start of the app makes one"
            )
            raise ApiError(ProblemCode.NO_LOG, why)
        return found

    async def _more(self, request: web.Request, caller: Caller, before: Part) -> Part | None:
        """What was appended; None: the vassal is gone, or another user's."""
        try:
            path = self._reporter.log_of(self._find(request, caller))
        except ApiError:
            return None
        return await asyncio.to_thread(read_on, path, before.end, _reader(caller))

    @contextmanager
    def _woken_by(self, domain: str) -> Iterator[asyncio.Event]:
        """An event that is set when the log of that domain was written to."""
        is_written = asyncio.Event()
        self._followers.add(is_written)
        self._reporter.printed.add(domain, is_written.set)
        try:
            yield is_written
        finally:
            self._reporter.printed.remove(domain, is_written.set)
            self._followers.discard(is_written)


async def _piece(path: str, start: LogPosition, end: LogPosition, caller: Caller) -> Part:
    return await asyncio.to_thread(read_piece, path, start, end, _reader(caller))


def _reader(caller: Caller) -> int | None:
    """The user who must have written a log; None: an administrator reads all logs."""
    return None if caller.is_administrator else caller.uid
