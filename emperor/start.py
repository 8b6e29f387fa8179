"""Starts emperord, with the imports of the daemon in less time than Python takes by itself.

Nothing that an import makes is garbage. The collector looks for some all the same: measured, it
takes an eighth of the time of all imports. An upgrade imports everything twice.
"""

import gc
import time
from collections.abc import Callable

# Before the imports of the daemon, in seconds since the epoch.
BEGUN = time.time()


def load() -> Callable[[], None]:
    """Import the daemon, and return what runs it. The service turns the collector on again."""
    gc.disable()
    from emperor.daemon import main  # noqa: PLC0415

    return main


def main() -> None:
    """The program emperord."""
    load()()
