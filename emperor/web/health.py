"""Answers the probes of load balancers: whether to send requests to this machine.

The state of the vassals does not matter. An answer at all shows that the event loop runs; where
there is none, nginx/emperord/health.conf answers 503.
"""

from emperor.web.aiohttp_server import web
from emperor.web.drain import Drain

HEALTH_PATH = "/emperord-health"


class Health:
    """200 `serving`; 503 `draining`, or `stopping`."""

    def __init__(self, drain: Drain) -> None:
        self._drain = drain
        self._is_stopping = False

    def stop(self) -> None:
        """Answer 503 from now on: the daemon stops."""
        self._is_stopping = True

    async def handle(self, _request: web.Request) -> web.Response:
        """Answer a probe."""
        if self._is_stopping:
            return web.Response(status=503, text="stopping\n")
        if self._drain.since is not None:
            return web.Response(status=503, text="draining\n")
        return web.Response(text="serving\n")
