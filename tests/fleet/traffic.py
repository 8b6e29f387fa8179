"""An even flow of visits, while something happens to the fleet."""

import asyncio
import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.eventually import eventually
from tests.fleet.client import Client, Question, Visit

# Visits come at this pace whether or not those before them were answered: a backend that hangs
# holds up its own visitors and nobody else. More of them would take all of two cores, and a loaded
# machine looks like a backend that is unreachable (TIMEOUT_MS of lua/health.lua).
_A_SECOND = 150
# Far more than a test takes, so that a test that hangs does not send for ever.
_MOST_VISITS = 20_000


def _questions(domains: Sequence[str], doors: Sequence[str]) -> Iterator[Question]:
    """GETs on kept and on fresh connections, some by TLS, and POSTs, for each domain in turn."""
    for number in itertools.count():
        post = number % 5 == 0
        yield Question(
            domain=domains[number % len(domains)],
            door=doors[number // len(domains) % len(doors)],
            method="POST" if post else "GET",
            scheme="https" if number % 7 == 0 else "http",
            fresh=post or number % 3 == 0,
        )


class Flow:
    """Visits that ask these questions, so many a second."""

    def __init__(self, client: Client, questions: Iterator[Question], a_second: float) -> None:
        self._client = client
        self._questions = questions
        self._interval = 1 / a_second
        self._enough = threading.Event()
        self.visits: list[Visit] = []

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Visits come until the block is left, which is when the last one is over."""
        flow = self._client.submit(self._flow())
        try:
            self.goes_on(100)
            yield
        finally:
            self._enough.set()
            flow.result()

    def goes_on(self, count: int) -> None:
        """Wait until so many more visits are over."""
        goal = len(self.visits) + count
        eventually(lambda: len(self.visits) >= goal, what=f"{count} more visits")

    async def _flow(self) -> None:
        async with asyncio.TaskGroup() as visits:
            for question in itertools.islice(self._questions, _MOST_VISITS):
                if self._enough.is_set():
                    return
                visits.create_task(self._pay(question))
                await asyncio.sleep(self._interval)

    async def _pay(self, question: Question) -> None:
        self.visits.append(await self._client.visit(question))


class Traffic(Flow):
    """Visits to all domains, through all doors."""

    def __init__(self, client: Client, domains: Sequence[str], doors: Sequence[str]) -> None:
        super().__init__(client, _questions(domains, doors), _A_SECOND)
