"""A world in which more apps are wanted than may boot at once."""

from emperor.model.spec import Spec
from emperor.supervisor.records import Vassal
from tests.supervisor.fake_launcher import FakeProcess
from tests.supervisor.world import World


class BusyMachine(World):
    """a.example boots in the only place, and requests for other apps come."""

    def __init__(self, others: str = "bcd", spec: Spec | None = None, **flags: str) -> None:
        super().__init__(spec, **({"max_starting": "1"} | flags))
        self.others = {name: self.add(f"{name}.example") for name in others}
        self.hit()
        self.first = self.launcher.last

    def process(self, vassal: Vassal) -> FakeProcess:
        """The last process of a vassal."""
        domain = vassal.spec.domain
        return next(p for p in reversed(self.launcher.started) if p.spec.domain == domain)

    @property
    def order(self) -> list[str]:
        """The processes in the order of their start, by the first letters of their domains."""
        return [process.spec.domain[0] for process in self.launcher.started]

    @property
    def queue(self) -> list[str]:
        """The queued apps in order, by the first letters of their domains."""
        positions = {v.spec.domain[0]: n for v, n in self.governor.boot_positions().items()}
        return sorted(positions, key=lambda name: positions[name])
