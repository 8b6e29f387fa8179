"""What the API and the console need of the daemon as a whole."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from emperor.model.share import Share
from emperor.notices.notices import Notices
from emperor.web.health import Health
from emperor.web.history import HistoryAccess


class Daemon(Protocol):
    """What the whole daemon has, and can be ordered to do."""

    @property
    def history(self) -> HistoryAccess:
        """The history of the vassals."""

    @property
    def health(self) -> Health:
        """What load balancers are told."""

    @property
    def notices(self) -> Notices:
        """What an administrator is told."""

    @property
    def share(self) -> Callable[[Sequence[tuple[str, ...]]], Awaitable[Share]] | None:
        """Which of the domains that are served belong to this machine, of the hosts of each ini.
        Raises NoShare. None: it has no place in a fleet with a registry."""

    async def rescan(self) -> None:
        """Read the folder of inis again."""

    async def upgrade(self, before_exec: Callable[[], Awaitable[None]]) -> None:
        """Become the version that is installed now. `before_exec` is awaited when nothing but the
        exec is left to do. Raises CannotUpgrade."""
