"""Where each domain is served: by the slots, the stock hash, and the order of substitutes in the
balancer's own Lua."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

from emperor.cli.placement import Placement, Rule
from emperor.model.balancer_list import lua
from emperor.model.slots import rebalanced, stretched

_KEPT = 8


class Fleet:
    """The backends as balancers see them: their slots, and which of them cannot be reached."""

    def __init__(self, folder: Path, backends: Sequence[str], slots: int) -> None:
        self._folder = folder
        self.lost: set[str] = set()
        equal = dict.fromkeys(backends, Fraction(1))
        self.use(rebalanced(stretched(backends, slots), equal))

    def use(self, slots: tuple[str, ...]) -> None:
        """Place by these slots from now on."""
        self.slots = slots
        file = self._folder / "init_backends.lua"
        file.write_text(lua("", slots, {}, None))
        self.placement = Placement(file, Rule.STOCK)
        # The first substitutes of a host.
        self._kept: dict[str, tuple[str, ...]] = {}

    def add(self, backend: str) -> list[int]:
        """Give a new backend its share. Returns the slots that it got."""
        before, backends = self.slots, {*self.slots, backend}
        self.use(rebalanced(before, dict.fromkeys(sorted(backends), Fraction(1))))
        return [slot for slot, owner in enumerate(before) if self.slots[slot] != owner]

    def slots_of(self, backends: Iterable[str]) -> list[int]:
        """The slots, from 0 on, that name one of these backends."""
        wanted = set(backends)
        return [slot for slot, owner in enumerate(self.slots) if owner in wanted]

    def backend(self, host: str, slot: int) -> str:
        """The backend that balancers ask for a host of that slot."""
        own = self.slots[slot]
        if own not in self.lost:
            return own
        if host not in self._kept:
            self._kept[host] = self.placement.substitutes(host, own)[:_KEPT]
        first = (each for each in self._kept[host] if each not in self.lost)
        return next(first, "") or self._any(host, own)

    def _any(self, host: str, own: str) -> str:
        others = self.placement.substitutes(host, own)
        # If all are lost, the own one is asked.
        return next((each for each in others if each not in self.lost), own)
