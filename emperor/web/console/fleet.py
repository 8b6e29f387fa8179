"""The page about this machine among others: its drain, and what load balancers ask of it."""

from dataclasses import dataclass
from datetime import datetime

from emperor.web.console.orders import OrderText
from emperor.web.health import Probe


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
