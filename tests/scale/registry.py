"""The registry of a made-up day: what it has for each domain, and what is asked of it."""

from collections import Counter
from dataclasses import dataclass, field

from emperor.model.registration import RegisteredIni, bucket_of
from emperor.registry.port import CannotReach

OWNER = "www-data"


@dataclass(slots=True)
class Registry:
    """The registry of a made-up day. `names`, `buckets` and `serials` have those of each domain, by
    its number. `changes` are the domains that changed, in the order of revisions, from revision 1
    on; those up to `compacted` are not told any more."""

    names: list[str]
    is_away: bool = False
    compacted: int = 0
    reads: Counter[int] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    changes: list[int] = field(default_factory=list)
    changed_at: list[float] = field(default_factory=list)
    buckets: list[int] = field(init=False)
    serials: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.buckets = [bucket_of(name) for name in self.names]
        self.serials = [1] * len(self.names)

    @property
    def revision(self) -> int:
        """The revision of the last change."""
        return len(self.changes)

    def entry(self, domain: int) -> RegisteredIni:
        """What it has for a domain."""
        serial = self.serials[domain]
        return RegisteredIni(self.names[domain], serial, OWNER, f"serial = {serial}")

    def read(self, domain: int, now: float) -> RegisteredIni:
        """Answer a backend that asks for a domain. Raises CannotReach."""
        if self.is_away:
            self.refused[int(now)] += 1
            raise CannotReach("no quorum")
        self.reads[int(now)] += 1
        return self.entry(domain)

    def put(self, domain: int, now: float) -> None:
        """Change the ini of a domain. Raises CannotReach."""
        if self.is_away:
            raise CannotReach("no quorum")
        self.serials[domain] += 1
        self.changes.append(domain)
        self.changed_at.append(now)

    def compact(self, before: float) -> None:
        """Forget the changes before a time."""
        while self.compacted < self.revision and self.changed_at[self.compacted] < before:
            self.compacted += 1
