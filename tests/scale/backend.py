"""A backend of a made-up day: what it holds, decided by the product's own table of pulling."""

from collections import Counter
from dataclasses import dataclass, field

import msgspec

from emperor.model.pulled import Act, Found, Occasion, Pulled, PulledState, act, on_disk, said
from emperor.model.registration import RegisteredIni
from tests.scale.registry import Registry

_INODE = 1


@dataclass(slots=True)
class Backend:
    """A backend of a made-up day. `kept` is what its state directory has of each domain, by its
    number; `used` is when each was hit last; `buckets` are those that it watches, with the number
    of domains that it holds in each. `revision` is the one up to which its watch has told it of
    changes. Apps that were awake before `booted` are not any more."""

    address: str
    registry: Registry
    booted: float = float("-inf")
    kept: dict[int, Pulled] = field(default_factory=dict)
    used: dict[int, float] = field(default_factory=dict)
    buckets: Counter[int] = field(default_factory=Counter)
    revision: int = 0

    def holds(self, domain: int) -> bool:
        """Whether the ini of a domain is on its disk."""
        kept = self.kept.get(domain)
        return kept is not None and kept.is_held

    @property
    def held(self) -> list[int]:
        """All domains whose inis are on its disk."""
        return [domain for domain, kept in self.kept.items() if kept.is_held]

    def had(self, domain: int, used: float) -> None:
        """Note that the backend has held this domain for long."""
        self._write(domain, self.registry.entry(domain), used)
        self.used[domain] = used

    def is_awake(self, domain: int, now: float, idle: float) -> bool:
        """Whether the app of a domain runs here."""
        return self.used.get(domain, self.booted) > max(self.booted, now - idle)

    def awake(self, now: float, idle: float) -> int:
        """How many apps run here."""
        since = max(self.booted, now - idle)
        return sum(used > since for used in self.used.values())

    def asked(self, domain: int, now: float) -> bool:
        """A visitor wants a domain. Returns whether it was pulled. Raises CannotReach if it would
        have to be, and changes nothing."""
        is_new = not self.holds(domain)
        if is_new:
            self._follow(Occasion.HIT, domain, self.registry.read(domain, now), now)
        self.used[domain] = now
        return is_new

    def learn(self, domain: int, now: float) -> None:
        """Its watch tells of a change of a domain in one of its buckets."""
        self._follow(Occasion.CHANGE, domain, self.registry.entry(domain), now)

    def forget(self, before: float) -> None:
        """Take domains off the disk that nobody has used since. Their buckets are still watched."""
        for domain in self.held:
            if self.used[domain] < before:
                kept = self.kept[domain]
                self.kept[domain] = msgspec.structs.replace(kept, state=PulledState.FORGOTTEN)
                self.buckets[self.registry.buckets[domain]] -= 1

    def restart(self) -> None:
        """A new daemon watches the buckets of what is on the disk."""
        self.buckets = +self.buckets

    def _follow(self, occasion: Occasion, domain: int, entry: RegisteredIni, now: float) -> None:
        kept = self.kept.get(domain)
        found = Found(_INODE, kept.digest, False) if kept and kept.is_held else None
        what = act(occasion, on_disk(found, kept), said(entry, kept, entry.ini))
        if what is Act.WRITE:
            self._write(domain, entry, now)
        elif what is not Act.NOTHING:
            raise AssertionError(f"{what} of {entry.domain} on {self.address}")

    def _write(self, domain: int, entry: RegisteredIni, now: float) -> None:
        self.buckets[self.registry.buckets[domain]] += not self.holds(domain)
        # The text of an ini stands for its digest.
        self.kept[domain] = Pulled(
            entry.domain, entry.serial, self.registry.revision, entry.ini, _INODE, now
        )
