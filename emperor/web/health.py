"""Answers the probes of load balancers: whether to send requests to this machine.

The state of the vassals does not matter. An answer at all shows that the event loop runs; where
there is none, nginx/emperord/health.conf answers 503.
"""

import socket
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from emperor.web.aiohttp_server import web
from emperor.web.drain import Drain
from emperor.web.stand_in import Question, Reply

HEALTH_PATH = "/emperord-health"
# Load balancers that are remembered. A client of nginx can have itself taken for one.
_MOST_PROBERS = 32
_LONGEST_ADDRESS = 64


@dataclass(frozen=True, slots=True)
class Probe:
    """The last probe of a load balancer: its address as nginx told it, None if nginx did not; what
    it was answered; and how many probes there were since the daemon started."""

    client: str | None
    at: datetime
    answer: str
    number: int


class Health:
    """200 `serving`; 503 `draining`, or `stopping`."""

    def __init__(
        self, drain: Drain, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._drain = drain
        self._now = now
        self._is_stopping = False
        self._probes: OrderedDict[str | None, Probe] = OrderedDict()

    def stop(self) -> None:
        """Answer 503 from now on: the daemon stops."""
        self._is_stopping = True

    def answer(self) -> tuple[int, str]:
        """The status and the body for a probe."""
        if self._is_stopping:
            return 503, "stopping\n"
        if self._drain.since is not None:
            return 503, "draining\n"
        return 200, "serving\n"

    def probes(self) -> Iterator[Probe]:
        """The last probe of each load balancer, the latest first."""
        return reversed(self._probes.values())

    def _note(self, client: str | None, answer: str) -> None:
        before = self._probes.pop(client, None)
        number = before.number + 1 if before else 1
        self._probes[client] = Probe(client, self._now(), answer.strip(), number)
        if len(self._probes) > _MOST_PROBERS:
            self._probes.popitem(last=False)

    async def handle(self, request: web.Request) -> web.Response:
        """Answer a probe."""
        status, text = self.answer()
        self._note(request.headers.get("X-Forwarded-For", "")[:_LONGEST_ADDRESS] or None, text)
        return web.Response(status=status, text=text)

    async def reply(self, question: Question, _connection: socket.socket) -> Reply | None:
        """Answer a probe that has reached the stand-in."""
        # A hit may be for the same path, and names its domain.
        if question.path != HEALTH_PATH or question.has("x-domain"):
            return None
        status, text = self.answer()
        return Reply(status, "text/plain", text)
