"""What the daemon does to the world, step by step, so that a test can kill it at any of them."""

from collections.abc import Iterator
from contextlib import contextmanager


class Crash(BaseException):
    """The daemon is killed at this point."""


class ActionLog(list[str]):
    """What the daemon does to the world, in order. It can be killed before or after each step:
    `steps_left` is the number of half steps until then."""

    def __init__(self) -> None:
        super().__init__()
        self.steps_left: int | None = None

    @contextmanager
    def step(self, what: str | None = None) -> Iterator[None]:
        """A step of the daemon."""
        self._count()
        if what:
            self.append(what)
        yield
        self._count()

    def _count(self) -> None:
        if self.steps_left is not None:
            self.steps_left -= 1
            # A killed daemon does nothing more, not even in a `finally`.
            if self.steps_left < 0:
                raise Crash
