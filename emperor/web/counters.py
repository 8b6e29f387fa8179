"""What has happened since the daemon started, counted for the metrics."""

import asyncio
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from copy import deepcopy
from dataclasses import dataclass
from itertools import accumulate, product

from emperor.model.cause import VISITORS, CauseKind, StartMethod
from emperor.model.history import (
    Fact,
    PastStart,
    Phase,
    Replied,
    Started,
    StartOutcome,
    StopKind,
    Stopped,
    phases_of,
)
from emperor.model.notice import Fate
from emperor.model.status import TransitionEvent
from emperor.web.aiohttp_server import web
from emperor.web.metrics import (
    ENDS,
    HELD_SECONDS,
    NOTICES,
    PHASES,
    START,
    STARTED,
    WAKES,
    Described,
)

_RUNTIMES = {StartMethod.FORK: "base", StartMethod.EXEC: "exec", None: "none"}
_NOTICES = ([fate.value for fate in Fate], ("notify-command", "notify-url"))
# As nginx logs it: the client has closed the connection.
_LEFT = "499"
_FAULT = "500"

Labels = tuple[str, ...]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Series:
    """Times with these values of labels. `buckets` are bounds in seconds, each with the number of
    times that were no longer; `total` are the seconds of all together."""

    labels: Labels
    buckets: tuple[tuple[float, int], ...]
    total: float


class Histogram:
    """How many times took how long, by the values of labels."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts: defaultdict[Labels, list[int]] = defaultdict(lambda: [0] * len(bounds))
        self._totals: defaultdict[Labels, float] = defaultdict(float)

    def add(self, seconds: float, *labels: str) -> None:
        """Count one value."""
        self._counts[labels][bisect_left(self._bounds, seconds)] += 1
        self._totals[labels] += seconds

    def series(self) -> tuple[Series, ...]:
        """All that was counted so far."""
        return tuple(
            Series(
                labels,
                tuple(zip(self._bounds, accumulate(counts), strict=True)),
                self._totals[labels],
            )
            for labels, counts in self._counts.items()
        )


@dataclass(frozen=True, slots=True)
class Counted:
    """A moment of the counters: the series of each histogram, and the value of each counter by its
    labels."""

    times: dict[Described, tuple[Series, ...]]
    numbers: dict[Described, dict[Labels, int]]


class Counters:
    """Counts events, facts and requests. What may happen is counted from 0 on: Prometheus does not
    see the first of what was not there before."""

    def __init__(self) -> None:
        self._times = {
            each: Histogram(each.bounds) for each in (START, WAKES, PHASES, HELD_SECONDS)
        }
        starts = product(
            *([each.value for each in kind] for kind in (CauseKind, StartOutcome)),
            _RUNTIMES.values(),
        )
        self._numbers: dict[Described, Counter[Labels]] = {
            STARTED: Counter(dict.fromkeys(starts, 0)),
            ENDS: Counter(dict.fromkeys(((kind.value,) for kind in StopKind), 0)),
            NOTICES: Counter(dict.fromkeys(product(*_NOTICES), 0)),
        }

    def read(self, event: TransitionEvent) -> None:
        """Count the start that this event ends, if it ends one. A reader of the event log."""
        if event.start_seconds is not None:
            self._times[START].add(event.start_seconds)

    def take(self, fact: Fact) -> None:
        """Count a fact."""
        match fact:
            case Started(start=start, method=method):
                labels = (start.cause.value, start.outcome.value, _RUNTIMES[method])
                self._numbers[STARTED][labels] += 1
                if start.cause in VISITORS:
                    self._wake(start, _RUNTIMES[method], fact.seconds)
            case Replied(start=start, method=method):
                phase, took = phases_of(start.wake)[-1]
                self._times[PHASES].add(took / 1000, phase.value, _RUNTIMES[method])
            case Stopped(stop=stop):
                self._numbers[ENDS][stop.kind.value,] += 1

    def notice(self, sender: str, fate: Fate) -> None:
        """Count a notice that was sent, given up or dropped."""
        self._numbers[NOTICES][fate.value, sender] += 1

    def _wake(self, start: PastStart, runtime: str, seconds: float) -> None:
        self._times[WAKES].add(seconds, start.outcome.value, runtime)
        for phase, took in phases_of(start.wake) if start.outcome is StartOutcome.ACCEPTED else ():
            if phase is not Phase.FIRST_REPLY:
                self._times[PHASES].add(took / 1000, phase.value, runtime)

    @web.middleware
    async def held(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count how long a request of nginx's waits for its answer. Probes of balancers name no
        domain, and are no such request."""
        if "X-Domain" not in request.headers:
            return await handler(request)
        loop = asyncio.get_running_loop()
        began, status = loop.time(), _FAULT
        try:
            response = await handler(request)
            status = str(response.status)
            return response
        except asyncio.CancelledError:
            status = _LEFT
            raise
        finally:
            self._times[HELD_SECONDS].add(loop.time() - began, status)

    def counted(self) -> Counted:
        """All that was counted so far."""
        times = {each: histogram.series() for each, histogram in self._times.items()}
        return Counted(times, deepcopy({each: dict(of) for each, of in self._numbers.items()}))
