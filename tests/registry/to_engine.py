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
