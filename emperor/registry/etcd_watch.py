"""One watch on many spans of keys, by one stream after another: when a member is lost, another one
goes on from there.

- etcd's gateway takes a stream of questions, but Go's HTTP server throws away what it has not read
  of a question when it begins to answer, unless 256 KiB or more are left. So all watches are in one
  question, which ends with as many blanks.
- etcd tells the changes of one watch in the order of revisions, and those of different watches in
  any order while it catches up. So each watch has a position of its own.
- A member that is cut off from the others ends the stream, since that asks for a leader. A member
  that hangs is found by a question on another connection.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Collection, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from itertools import groupby

from emperor.model.cluster_state import UNKNOWN, ClusterState
from emperor.model.registry_keys import Span
from emperor.model.registry_spans import Spans
from emperor.registry.etcd_http import Lines, Question, TooLong, Unanswered, failure_of
from emperor.registry.etcd_members import RANGE, Members, cannot_reach
from emperor.registry.etcd_wire import (
    DENIED,
    UNAVAILABLE,
    ErrorReply,
    Header,
    RangeReply,
    WatchLine,
    WatchReply,
    encoded,
    range_of,
    text_of,
    watch_of,
    wire_of,
)
from emperor.registry.port import CannotReach, Changes, Missed

# etcd drops notices of progress beyond this number.
MOST_WATCHES = 100
_BLANKS = b" " * (256 << 10)
# After this time without a line the member is asked whether it is there.
SILENCE_SECONDS = 5.0
# After so many of them in a row, a watch has told all that the member had at the first.
_SILENCES = 3


@dataclass(slots=True)
class SeenState:
    """The newest state of the registry that the watches of an engine have seen: what comes later
    must not be older."""

    newest: ClusterState = UNKNOWN


class Watch:
    """What changes in some spans after a revision."""

    def __init__(
        self, members: Members, seen: SeenState, spans: Collection[Span], after: int
    ) -> None:
        self._members = members
        self._seen = seen
        self._before = seen.newest
        self._wanted = Spans(spans)
        self._spans = self._wanted.covered_by(MOST_WATCHES)
        self._told = [after] * len(self._spans)
        self._quiet: deque[int] = deque(maxlen=_SILENCES)

    def expect(self, state: ClusterState) -> None:
        """The revision after which it tells is of that; UNKNOWN: of what was seen last."""
        if state != UNKNOWN:
            self._before = state

    async def changes(self) -> AsyncGenerator[Changes, None]:
        """Until it is closed. Raises CannotReach, RegistryRefused, Missed."""
        loop = asyncio.get_running_loop()
        causes: dict[str, str] = {}
        lost_at = loop.time()
        while not causes or loop.time() < lost_at + self._members.patience:
            for member in self._members.by_preference():
                try:
                    async with aclosing(self._stream(member)) as stream:
                        async for changes in stream:
                            causes.clear()
                            yield changes
                except Unanswered as error:
                    lost_at = lost_at if causes else loop.time()
                    causes[member] = str(error)
            await self._members.pause()
        raise cannot_reach(causes)

    async def _stream(self, member: str) -> AsyncGenerator[Changes, None]:
        question = b"".join(
            watch_of(number, span, after)
            for number, (span, after) in enumerate(zip(self._spans, self._told, strict=True), 1)
        )
        self._quiet.clear()
        async with self._members.stream(member, self._spans[0].start, question + _BLANKS) as lines:
            missing = len(self._spans)
            while True:
                if (reply := await self._reply(lines)) is None:
                    if missing:
                        raise Unanswered("it does not begin all watches", was_sent=True)
                    if await self._was_quiet(member):
                        yield Changes(min(self._told))
                elif reply.canceled:
                    raise _end_of(reply)
                elif reply.created:
                    if missing == len(self._spans):
                        await self._compare(reply.header)
                        yield Changes(min(self._told), state=self._before)
                    missing -= 1
                else:
                    for changes in self._news(reply):
                        yield changes

    async def _reply(self, lines: Lines) -> WatchReply | None:
        """The next one, None if there is none for a while."""
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                line = await lines.next()
        except TimeoutError:
            return None
        except TooLong as error:
            raise Missed("a change is too long to be read; read all by pages") from error
        self._quiet.clear()
        try:
            decoded = wire_of(line, WatchLine)
        except ValueError as error:
            raise Unanswered(f"its answer is not that of etcd: {error}", was_sent=True) from error
        if decoded.error is not None:
            raise failure_of(decoded.error)
        return decoded.result or WatchReply()

    async def _compare(self, header: Header) -> None:
        """Raises Missed if the registry is another or an older one. A follower may be behind."""
        if self._before.cluster not in (0, header.cluster_id):
            self._seen.newest = _state_of(header)
            raise Missed("it is another cluster than before")
        if self._is_older(header):
            newest = await self._newest()
            if self._is_older(newest):
                self._seen.newest = _state_of(newest)
                raise Missed("the registry was restored from an older state")
            header = newest
        self._before = self._seen.newest = _state_of(header)

    def _is_older(self, header: Header) -> bool:
        return header.revision < max(self._told) or header.raft_term < self._before.elections

    async def _newest(self) -> Header:
        request = range_of(self._spans[0].start, keys_only=True)
        try:
            return (await self._members.read(request, fresh=True)).header
        except CannotReach as error:
            raise Unanswered("it is behind, and there is no quorum", was_sent=True) from error

    async def _was_quiet(self, member: str) -> bool:
        """Whether the watches are known to have told more than before, since nothing came for long.
        Raises Unanswered if the member hangs."""
        request = range_of(self._spans[0].start, keys_only=True, serializable=True)
        reply = await self._members.ask(member, Question(RANGE, encoded(request), RangeReply))
        is_long = len(self._quiet) == _SILENCES
        before = min(self._told)
        if is_long:
            self._told = [max(told, self._quiet[0]) for told in self._told]
        self._quiet.append(reply.header.revision)
        return min(self._told) > before

    def _news(self, reply: WatchReply) -> Iterator[Changes]:
        """What one reply tells, a transaction at a time."""
        number = reply.watch_id - 1
        last = reply.events[-1].kv.mod_revision if reply.events else reply.header.revision
        # The rest of the last transaction may be in the next reply.
        self._told[number] = max(self._told[number], last - reply.fragment)
        for _, group in groupby(reply.events, key=lambda event: event.kv.mod_revision):
            events = [event for event in group if text_of(event.kv.key) in self._wanted]
            if events:
                yield Changes(
                    min(self._told),
                    tuple(event.kv.key_value() for event in events if event.type == "PUT"),
                    tuple(text_of(event.kv.key) for event in events if event.type == "DELETE"),
                )
        if not reply.events:
            yield Changes(min(self._told))


def _state_of(header: Header) -> ClusterState:
    return ClusterState(header.cluster_id, header.raft_term)


def _end_of(reply: WatchReply) -> Exception:
    if reply.compact_revision:
        return Missed(f"what changed before revision {reply.compact_revision} is compacted")
    message = reply.cancel_reason.rpartition("desc = ")[2] or "it has ended a watch"
    code = DENIED if "PermissionDenied" in reply.cancel_reason else UNAVAILABLE
    return failure_of(ErrorReply(message, code))
