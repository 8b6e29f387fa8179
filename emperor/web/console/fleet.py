"""The page about this machine among others: its drain, and what load balancers ask of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from emperor.model.share import Elsewhere, NoShare, Share
from emperor.supervisor.records import Vassal
from emperor.web.console.orders import OrderText
from emperor.web.daemon import Daemon
from emperor.web.health import Probe

_MOST_ELSEWHERE = 100


@dataclass(frozen=True, slots=True)
class Fleet:
    """The page. `answer` is what a load balancer is told now."""

    machine: str
    draining_since: datetime | None
    answer: str
    order: OrderText
    probes: tuple[Probe, ...]
    domains: int
    refused: int
    belonging: "Belonging | None"


@dataclass(frozen=True, slots=True)
class Belonging:
    """Which domains belong to this machine. `problem` tells why nobody knows; else it is empty."""

    share: Share | None
    problem: str = ""

    @property
    def listed(self) -> tuple[Elsewhere, ...]:
        """The domains that belong elsewhere, as many as the page names."""
        return self.share.elsewhere[:_MOST_ELSEWHERE] if self.share else ()


async def belonging(daemon: Daemon, vassals: Iterable[Vassal]) -> Belonging | None:
    """Which of these belong to this machine; None: it has no place in a fleet with a registry."""
    if daemon.share is None:
        return None
    specs = [vassal.spec for vassal in vassals]
    try:
        return Belonging(await daemon.share([(spec.domain, *spec.aliases) for spec in specs]))
    except NoShare as error:
        return Belonging(None, str(error))
