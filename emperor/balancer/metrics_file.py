"""Keeps the metrics of the agent in a file, for node_exporter's textfile collector.

The agent has no server of its own. The file stays when the agent ends; its time of writing tells.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from emperor.balancer.metrics import Numbers, exposition
from emperor.guarded import guarded

log = logging.getLogger("emperord.metrics_file")

# As often as Prometheus asks by default, or more often.
_SECONDS = 15.0
# Several changes that come together are written once.
_SETTLE_SECONDS = 0.2


class MetricsFile:
    """The file `path`; `numbers` is how the agent is now."""

    def __init__(self, path: Path, numbers: Callable[[], Numbers]) -> None:
        self._path = path
        self._numbers = numbers
        self._changed = asyncio.Event()
        self._problem = ""

    def changed(self) -> None:
        """The agent is another than before."""
        self._changed.set()

    async def run(self) -> None:
        """Write it again and again, until this is cancelled."""
        while True:
            self._changed.clear()
            with guarded(log, "write the metrics"):
                self._write()
            await asyncio.sleep(_SETTLE_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(_SECONDS):
                    await self._changed.wait()

    def _write(self) -> None:
        draft = self._path.with_name(f"{self._path.name}.new")
        try:
            draft.write_text(exposition(self._numbers()), encoding="utf-8")
            draft.replace(self._path)
        except OSError as error:
            if self._problem != (problem := error.strerror or str(error)):
                log.warning("cannot write the metrics to %s: %s", self._path, problem)
            self._problem = problem
        else:
            self._problem = ""
