"""What emperord needs of the engine behind a registry. `etcd` is the engine that there is."""

from collections.abc import AsyncGenerator, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from emperor.model.cluster_state import UNKNOWN, ClusterState
from emperor.model.registry_keys import Keys, Span


class CannotReach(Exception):
    """No member of the registry answered, or it has no quorum; the message says which and why.
    What was asked for has not happened, unless it is Unsure."""


class Unsure(CannotReach):
    """A change was sent, and nobody has answered: whether it has happened is not known."""


class RegistryRefused(Exception):
    """The registry answered that it will not: no right, no space; the message has the cure."""


class Outdated(Exception):
    """A key that was to be written has changed meanwhile. The argument is that key."""


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A key, and the revision of the registry at which its value was written."""

    key: str
    value: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Page:
    """Some keys in their order; `following` is the key to go on from, None at the end. `revision`
    is that of the registry when it was read."""

    entries: tuple[KeyValue, ...]
    following: str | None
    revision: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What one transaction changed, in the order of revisions; and which keys are gone: deleted, or
    the lease that they had has ended. Up to `revision` all has been told; an item without changes
    tells only that. The first item of a stream has the state of the cluster."""

    revision: int
    written: tuple[KeyValue, ...] = ()
    gone: tuple[str, ...] = ()
    state: ClusterState = field(default=UNKNOWN, compare=False)


class Missed(Exception):
    """A watch cannot tell what has changed since the revision that was asked for: those changes
    are compacted, or the registry is another or older one than before. Read all, then watch on."""


class Engine(Protocol):
    """A store of keys with revisions, leases and watches. All raise CannotReach and
    RegistryRefused."""

    async def get(self, key: str) -> KeyValue | None:
        """The value of a key, possibly a little outdated, from any member."""

    async def page(self, span: Span, limit: int = 500, *, fresh: bool = False) -> Page:
        """The first keys of a span. `fresh`: with all that was written before it was asked for,
        which needs a quorum; else from any member, possibly a little outdated."""

    async def put(
        self, values: Mapping[str, bytes], expected: Mapping[str, int], lease: int | None = None
    ) -> int:
        """Write all keys or none. `expected` has the revision that a key must have for that, 0: it
        must not exist. Returns the new revision. Raises Outdated."""

    async def delete(self, key: str, expected: int) -> int:
        """Delete a key that has this revision. Returns the new revision. Raises Outdated."""

    def watch(
        self, spans: Collection[Span], after: int, state: ClusterState = UNKNOWN
    ) -> AsyncGenerator[Changes, None]:
        """What changes after a revision of the registry that was in this `state`, UNKNOWN: as this
        engine saw it last. Until the caller closes it (`contextlib.aclosing`). Goes
        on by itself, without a gap, when a member is lost. The first item tells that the watch
        began. Raises Missed. A watch that begins after the `revision` of the last item misses
        nothing, and may tell again what this one has told."""

    async def grant(self, seconds: int) -> int:
        """A new lease that ends after this time unless it is renewed."""

    async def renew(self, lease: int) -> bool:
        """Renew a lease. Returns whether it still existed."""

    async def revoke(self, lease: int) -> None:
        """End a lease, and with it the keys that have it."""


@dataclass(frozen=True, slots=True)
class Connection:
    """An engine that was opened, and the names of its keys."""

    engine: Engine
    keys: Keys
