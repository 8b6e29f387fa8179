"""The members of an etcd cluster: which of them is asked, how often, and with which token.

etcd has its tokens in memory. A member that was restarted knows none, and a new one needs a quorum
(etcd_login).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from typing import Self, TypeVar

import msgspec

from emperor.model.registry_access import RegistryAccess
from emperor.registry.etcd_http import (
    CONNECT_SECONDS,
    Http,
    Lines,
    Question,
    TimedOut,
    TokenIsOld,
    Unanswered,
)
from emperor.registry.etcd_login import Login
from emperor.registry.etcd_wire import RangeReply, RangeRequest, encoded, range_of
from emperor.registry.port import CannotReach, RegistryRefused, Unsure

T = TypeVar("T")

RANGE, WATCH = "/v3/kv/range", "/v3/watch"
# An election takes some seconds, in which no member takes a change.
PATIENCE_SECONDS = 10.0
PAUSE_SECONDS = 0.2
_NO_USER = "the registry asks for a user; name one in registry.ini: user and password-file"


class Members:
    """The members of etcd that `access` names, as an async context manager. For `patience` seconds
    they are asked again and again for what needs a leader. `shuffle` says which is asked first."""

    def __init__(
        self, access: RegistryAccess, patience: float, shuffle: Callable[[list[str]], None]
    ) -> None:
        self.patience = patience
        self._access = access
        self._http = Http(access)
        self._order = list(access.endpoints)
        shuffle(self._order)
        self._login = Login(access, self._http)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        await self._login.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._login.__aexit__(*error)
        await self._http.__aexit__(*error)

    def by_preference(self) -> list[str]:
        """The endpoints of all members. The one that answered last is the first."""
        return list(self._order)

    async def read(self, request: RangeRequest, fresh: bool = False) -> RangeReply:
        """What the first member has that answers; `fresh`: by a quorum. Raises CannotReach,
        RegistryRefused."""
        request = msgspec.structs.replace(request, serializable=not fresh)
        asked = Question(RANGE, encoded(request), RangeReply)
        causes: dict[str, str] = {}
        is_late = False
        for member in self.by_preference():
            try:
                return await self.ask(member, asked)
            except Unanswered as error:
                causes[member] = str(error)
                is_late |= isinstance(error, TimedOut)
        if is_late and not fresh:
            # Without a quorum a fresh read is late as well, and no other token can be had.
            self._login.forget()
        raise cannot_reach(causes)

    async def change(self, asked: Question[T]) -> tuple[T, bool]:
        """Have a change made, for which members are asked until a new leader is elected. Also
        tells whether a member asked before may have made the change. Raises Unsure too."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.patience
        may_have_happened = False
        causes: dict[str, str] = {}
        while not causes or loop.time() < deadline:
            for member in self.by_preference():
                seconds = min(asked.seconds, max(CONNECT_SECONDS, deadline - loop.time()))
                try:
                    answer = await self.ask(member, replace(asked, seconds=seconds))
                except Unanswered as error:
                    may_have_happened |= error.was_sent
                    causes[member] = str(error)
                else:
                    return answer, may_have_happened
            await self.pause()
        failure = cannot_reach(causes)
        raise Unsure(str(failure)) if may_have_happened else failure

    async def pause(self) -> None:
        """Wait before all members are asked again, and forget the token if it is why none answers:
        a member waits for the state in which it was given, which a registry that was restored may
        never have."""
        with suppress(CannotReach, RegistryRefused):
            await self.read(range_of(self._access.prefix))
        await asyncio.sleep(PAUSE_SECONDS)

    async def ask(self, member: str, question: Question[T]) -> T:
        """What one member says. Raises Unanswered, RegistryRefused, CannotReach."""
        with self._judged(member):
            for is_last in (False, True):
                token = await self._login.token(member)
                try:
                    return await self._http.post(member, question, token)
                except TokenIsOld as error:
                    self._login.forget(token)
                    if not self._access.user:
                        raise RegistryRefused(_NO_USER) from error
                    if is_last:
                        cause = "it does not take the token that it gave"
                        raise Unanswered(cause, was_sent=False) from error
            raise AssertionError

    @asynccontextmanager
    async def stream(self, member: str, key: str, question: bytes) -> AsyncIterator[Lines]:
        """The lines of a watch that covers this key, from a member that has a leader. Raises like
        `ask`. The block may raise TokenIsOld."""
        # A watch is a long question, and a member without a leader would not read it.
        short = encoded(range_of(key, keys_only=True, serializable=True))
        await self.ask(member, Question(RANGE, short, RangeReply, needs_leader=True))
        with self._judged(member):
            token = await self._login.token(member)
            try:
                async with self._http.stream(member + WATCH, question, token) as lines:
                    yield lines
            except TokenIsOld as error:
                self._login.forget(token)
                raise Unanswered("it does not know the token", was_sent=False) from error

    @contextmanager
    def _judged(self, member: str) -> Iterator[None]:
        try:
            yield
        except Unanswered:
            self._order.remove(member)
            self._order.append(member)
            raise
        if self._order[0] != member:
            self._order.remove(member)
            self._order.insert(0, member)


def cannot_reach(causes: dict[str, str]) -> CannotReach:
    """What to say of members none of which answered."""
    each = "; ".join(f"{member}: {cause}" for member, cause in sorted(causes.items()))
    return CannotReach(f"cannot reach the registry: {each}")
