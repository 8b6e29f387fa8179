"""The apps that are hosted while faults strike: of many kinds, and half of them mostly asleep."""

import itertools
import sys
from collections.abc import Iterator

from tests.faults.visitors import Errand


def _domains(kinds: dict[str, str]) -> dict[str, str]:
    return {f"{name}.example": lines for name, lines in kinds.items()}


_REPEATED = "[emperor]\nrepeat = safe\n"

# By domain: the further lines of its ini. These apps get requests all the time.
BUSY = _domains(
    {
        "single": "disable-logging = true\n",
        "chatty": "",
        "processes": f"processes = 2\ndisable-logging = true\n{_REPEATED}",
        "threads": f"threads = 4\ndisable-logging = true\n{_REPEATED}",
        "both": "processes = 2\nthreads = 2\ndisable-logging = true\n",
        "gevent": f"gevent = 4\nvirtualenv = {sys.prefix}\ndisable-logging = true\n{_REPEATED}",
        "slow-boot": f"env = BOOT_SECONDS=0.3\ndisable-logging = true\n{_REPEATED}",
        "alone": "processes = 2\ndisable-logging = true\n[emperor]\nreload = restart\n",
    }
)
# These get requests so seldom that they fall asleep between two of them.
RARE = _domains({f"rare-{number:02}": "idle = 1\ndisable-logging = true\n" for number in range(10)})
# Likewise. They share a virtual environment, so they are forked from a base of it.
SHARED = _domains(
    {
        f"shared-{number}": "idle = 1\ndisable-logging = true\n[emperor]\nuid = nobody\n"
        for number in range(3)
    }
)
KINDS = BUSY | RARE | SHARED

_BODIES = (b"posted", b"x" * 100_000)
# How long an app works on a request.
_SECONDS = (0.0, 0.0, 0.05, 0.0, 0.2)


def questions(door: str) -> Iterator[Errand]:
    """Visits for all of them: each tenth for one that sleeps, each third a POST."""
    busy, rare = itertools.cycle(BUSY), itertools.cycle(RARE | SHARED)
    for number in itertools.count():
        yield Errand(
            domain=next(rare if number % 10 == 0 else busy),
            door=door,
            method="POST" if number % 3 == 0 else "GET",
            seconds=_SECONDS[number % len(_SECONDS)],
            body=_BODIES[number % 7 == 0],
        )
