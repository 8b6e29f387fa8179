"""How a uWSGI that serves is told to stop, so that it loses no request.

A master that is told to stop sends SIGHUP to its workers, and waits for them without a limit. Two
kinds of workers need more than that (core/uwsgi.c and core/utils.c of uWSGI 2.0.31):

- A worker with one thread exits at once, unless it handles a request. Between the accept of a
  connection and the note that it handles one are some microseconds, and a SIGHUP in these loses the
  request. So the workers are paused first: a paused worker finishes its request, and accepts no
  more. With more threads SIGHUP loses nothing, and a paused thread would miss it.
- A worker that was just forked still has the handlers of the master. It misses SIGHUP and serves
  on, so it is reminded. A pause would keep it busy for ever, so there is none then.

A master whose `hook-pre-app` or `hook-post-app` has failed takes itself for dying, serves all the
same, and passes no stop on. There all workers are reminded.
"""

import asyncio
import signal
from math import inf

from emperor.linux.processes import LedProcess
from emperor.model.snapshot import ProcessRef
from emperor.uwsgi.pipe import GRACEFUL_STOP, Pipe

# A worker notices a pause between two requests. The time in which it cannot is microseconds, unless
# it has no processor meanwhile.
_PAUSE_SECONDS = 0.05
# A worker that dies is replaced two seconds later, if another one died in the same second.
_REMINDER_SECONDS = 3.0
# An app can cause reminders as often as it likes.
_BETWEEN_REMINDERS_SECONDS = 0.1
# A worker catches this signal, and its master does not. It sets this handler after all others.
_CAUGHT_BY_WORKERS = signal.SIGUSR2
# Children that are no workers do not catch it. They are up after that time.
_CHILD_READY_SECONDS = 1.0


class GracefulStop:
    """The order to stop for one process, given once, and what follows until the process exits."""

    def __init__(
        self,
        ref: ProcessRef,
        pipe: Pipe,
        loop: asyncio.AbstractEventLoop,
        *,
        can_pause: bool,
        may_be_dying: bool,
    ) -> None:
        self._ref = ref
        self._pipe = pipe
        self._can_pause = can_pause
        self._may_be_dying = may_be_dying
        self._loop = loop
        self._next: asyncio.TimerHandle | None = None
        self._is_told = False
        self._last_reminder = -inf

    def begin(self, process: LedProcess) -> None:
        """Ask for the stop."""
        informed = process.children(_CAUGHT_BY_WORKERS, _CHILD_READY_SECONDS)
        self._ref.stop_heard_by = informed
        if self._can_pause and informed and set(process.children()) <= set(informed):
            process.send(signal.SIGTSTP)
            self._next = self._loop.call_later(_PAUSE_SECONDS, self._tell, process)
        else:
            self._tell(process)

    def go_on(self, process: LedProcess) -> None:
        """Ask once more for a stop that an earlier daemon has begun: it may not have come to tell
        the master. A master that has been told takes no notice."""
        if self._ref.stop_heard_by is not None:
            self._tell(process)

    def remind(self, process: LedProcess) -> None:
        """Send SIGHUP to the workers that may have missed it when the master was told to stop."""
        now = self._loop.time()
        heard = self._ref.stop_heard_by
        if (
            self._is_told
            and heard is not None
            and now > self._last_reminder + _BETWEEN_REMINDERS_SECONDS
        ):
            self._last_reminder = now
            process.hang_up_children(but=() if self._may_be_dying else heard)
            self._remind_later(process)

    def cancel(self) -> None:
        """The process has exited."""
        if self._next is not None:
            self._next.cancel()

    def _tell(self, process: LedProcess) -> None:
        self._is_told = True
        self._pipe.send(GRACEFUL_STOP)
        self._remind_later(process)

    def _remind_later(self, process: LedProcess) -> None:
        self.cancel()
        self._next = self._loop.call_later(_REMINDER_SECONDS, self.remind, process)
