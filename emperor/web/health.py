"""Answers the probes of load balancers: whether to send requests to this machine.

The state of the vassals does not matter. An answer at all shows that the event loop runs; where
there is none, nginx/emperord/health.conf answers 503.
"""

import socket

from emperor.web.aiohttp_server import web
from emperor.web.drain import Drain
from emperor.web.stand_in import Question, Reply

HEALTH_PATH = "/emperord-health"


class Health:
    """200 `serving`; 503 `draining`, or `stopping`."""

    def __init__(self, drain: Drain) -> None:
        self._drain = drain
        self._is_stopping = False

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

    async def handle(self, _request: web.Request) -> web.Response:
        """Answer a probe."""
        status, text = self.answer()
        return web.Response(status=status, text=text)

    async def reply(self, question: Question, _connection: socket.socket) -> Reply | None:
        """The same of the stand-in."""
        # A hit may be for the same path, and names its domain.
        if question.path != HEALTH_PATH or question.has("x-domain"):
            return None
        status, text = self.answer()
        return Reply(status, "text/plain", text)
