"""What a load balancer is told when it asks whether to send requests here.

No vassal is looked at: whether the loop comes round to answering is half of the answer. The other
half of this is nginx/emperord/health.conf, which says 503 for a daemon that does not answer.
"""

from aiohttp import web

from emperor.web.drain import Drain

HEALTH_PATH = "/emperord-health"


class Health:
    """200 `serving`; 503 `draining`, or `stopping`."""

    def __init__(self, drain: Drain) -> None:
        self._drain = drain
        self._is_stopping = False

    def stop(self) -> None:
        """From here on the daemon stops."""
        self._is_stopping = True

    async def handle(self, _request: web.Request) -> web.Response:
        """Answer a probe."""
        if self._is_stopping:
            return web.Response(status=503, text="stopping\n")
        if self._drain.since is not None:
            return web.Response(status=503, text="draining\n")
        return web.Response(text="serving\n")
