"""etcd as the engine of the registry, by the JSON gateway of its members.

Reads are answered by any member from what it has, so they need no quorum. Changes do, and so do
reads that must be fresh.
"""

import random
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing
from typing import Self, TypeVar

import msgspec
from msgspec.structs import replace

from emperor.model.cluster_state import UNKNOWN, ClusterState
from emperor.model.registry_access import RegistryAccess
from emperor.model.registry_keys import Span
from emperor.registry.etcd_http import NoLease, Question, TooLong
from emperor.registry.etcd_members import PATIENCE_SECONDS, Members
from emperor.registry.etcd_rights import naming
from emperor.registry.etcd_watch import SeenState, Watch
from emperor.registry.etcd_wire import (
    KeptReply,
    LeaseGrantRequest,
    LeaseReply,
    LeaseRequest,
    Nothing,
    RangeReply,
    RangeRequest,
    RequestOp,
    TxnReply,
    delete_of,
    encoded,
    put_of,
    range_of,
    range_of_span,
    txn,
)
from emperor.registry.port import CannotReach, Changes, KeyValue, Outdated, Page

T = TypeVar("T")

_WRITE_SECONDS = 4.0
# A member that hangs is given up before the renewal of a lease is due again (model/once), and then
# another one is asked first.
_LEASE_SECONDS = 2.0


class Etcd:
    """The engine (`port.Engine`). An async context manager. For `patience` seconds a change, or a
    watch that was lost, waits for the members to have a leader. `shuffle` changes the order in
    which they are asked, so that the machines of a fleet do not all ask the first one."""

    def __init__(
        self,
        access: RegistryAccess,
        patience: float = PATIENCE_SECONDS,
        shuffle: Callable[[list[str]], None] = random.shuffle,
    ) -> None:
        self._members = Members(access, patience, shuffle)
        self._seen = SeenState()
        self._user = access.user

    async def __aenter__(self) -> Self:
        await self._members.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._members.__aexit__(*error)

    async def get(self, key: str) -> KeyValue | None:
        """The value of a key; one that is too long to be read is empty."""
        with naming(self._user, "read", key):
            try:
                reply = await self._range(range_of(key))
            except TooLong:
                reply = await self._range(range_of(key, keys_only=True))
        return reply.kvs[0].key_value() if reply.kvs else None

    async def page(self, span: Span, limit: int = 500, *, fresh: bool = False) -> Page:
        """The first keys of a span: fewer than `limit` where their values are long."""
        with naming(self._user, "read", span):
            reply = await self._first(span, limit, fresh)
        entries = tuple(kv.key_value() for kv in reply.kvs)
        following = f"{entries[-1].key}\0" if reply.more and entries else None
        return Page(entries, following, reply.header.revision)

    async def _first(self, span: Span, limit: int, fresh: bool) -> RangeReply:
        while True:
            request = range_of_span(span, limit)
            try:
                return await self._range(request, fresh)
            except TooLong:
                if limit == 1:
                    return await self._range(replace(request, keys_only=True), fresh)
                limit //= 2

    async def put(
        self, values: Mapping[str, bytes], expected: Mapping[str, int], lease: int | None = None
    ) -> int:
        """Write all keys or none. A member that did not answer may have written them; then those
        that have these values already count as written."""
        changes = [put_of(key, value, lease or 0) for key, value in values.items()]
        reply, may_have_happened = await self._txn(expected, changes, {*values, *expected})
        if reply.succeeded:
            return reply.header.revision
        found = reply.found()
        if may_have_happened and all(
            key in found and (found[key].value, found[key].lease) == (value, lease or 0)
            for key, value in values.items()
        ):
            return max(kv.mod_revision for kv in found.values())
        raise _outdated(expected, reply)

    async def delete(self, key: str, expected: int) -> int:
        """Delete a key. A member that did not answer may have deleted it; then a key that does not
        exist counts as deleted."""
        reply, may_have_happened = await self._txn({key: expected}, [delete_of(key)], {key})
        if reply.succeeded or (may_have_happened and not reply.found()):
            return reply.header.revision
        raise _outdated({key: expected}, reply)

    async def watch(
        self, spans: Collection[Span], after: int, state: ClusterState = UNKNOWN
    ) -> AsyncGenerator[Changes, None]:
        """What changes in these spans after a revision."""
        watch = Watch(self._members, self._seen, spans, after)
        watch.expect(state)
        async with aclosing(watch.changes()) as items:
            with naming(self._user, "read", *spans):
                async for changes in items:
                    yield changes

    async def grant(self, seconds: int) -> int:
        """A new lease. One that nobody learns of ends by itself."""
        return (await self._of_lease("grant", LeaseGrantRequest(seconds), LeaseReply)).ID

    async def renew(self, lease: int) -> bool:
        """Renew a lease. Returns whether it still existed."""
        try:
            reply = await self._of_lease("keepalive", LeaseRequest(lease), KeptReply)
        except NoLease:
            return False
        return reply.result.TTL > 0

    async def revoke(self, lease: int) -> None:
        """End a lease, and with it the keys that have it."""
        try:
            await self._of_lease("revoke", LeaseRequest(lease), Nothing)
        except NoLease:
            return

    async def _range(self, request: RangeRequest, fresh: bool = False) -> RangeReply:
        return await self._members.read(request, fresh)

    async def _txn(
        self, expected: Mapping[str, int], changes: list[RequestOp], read: set[str]
    ) -> tuple[TxnReply, bool]:
        request = encoded(txn(expected, changes, sorted(read)))
        asked = Question("/v3/kv/txn", request, TxnReply, _WRITE_SECONDS)
        with naming(self._user, "write", *sorted(read)):
            return await self._members.change(asked)

    async def _of_lease(self, what: str, request: msgspec.Struct, kind: type[T]) -> T:
        path = f"/v3/lease/{what}"
        asked = Question(path, encoded(request), kind, _LEASE_SECONDS, is_of_lease=True)
        answer, _ = await self._members.change(asked)
        return answer


def _outdated(expected: Mapping[str, int], reply: TxnReply) -> Outdated | CannotReach:
    found = reply.found()
    for key, revision in expected.items():
        if (found[key].mod_revision if key in found else 0) != revision:
            return Outdated(key)
    return CannotReach("cannot reach the registry: its answer is not that of etcd")
