"""A connection to an engine of a test that is open from the start."""

from collections.abc import Callable

from emperor.model.registry_keys import Keys
from emperor.registry.port import Connection
from emperor.registry.reachability import Asker
from tests.registry.memory_engine import MemoryEngine


class ToEngine:
    """Implements what is used of `Link`."""

    def __init__(self, engine: MemoryEngine) -> None:
        self._engine = engine

    async def connection(self) -> Connection:
        return Connection(self._engine, Keys("/emperord"))

    def teller(self, _asker: Asker) -> Callable[[Exception | None], None]:
        return lambda _: None


class FaultyLink(ToEngine):
    """Its first connection meets a fault, and then the first answer that it is told, or the first
    failure alone with `only_failures`."""

    def __init__(self, engine: MemoryEngine, *, only_failures: bool = False) -> None:
        super().__init__(engine)
        self.faults = 0
        self._only_failures = only_failures

    async def connection(self) -> Connection:
        if not self.faults:
            self._fail()
        return await super().connection()

    def teller(self, _asker: Asker) -> Callable[[Exception | None], None]:
        return self._take

    def _take(self, error: Exception | None) -> None:
        if self.faults == 1 and (error or not self._only_failures):
            self._fail()

    def _fail(self) -> None:
        self.faults += 1
        raise ZeroDivisionError
