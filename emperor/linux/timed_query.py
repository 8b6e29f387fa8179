"""Asks the kernel about processes of apps, and waits for an answer only for a moment.

While a process is in execve(2), the kernel lets everybody wait who asks for its state, descriptors
or memory (exec_update_lock). It closes files meanwhile, and a file of a tenant's own file system
(FUSE) closes when the tenant likes (measured on 6.18: /proc/PID/stat, fd/N and environ, and
pidfd_getfd; /proc/PID/status and the lists of children and descriptors do not wait). So a thread
asks, and may wait for ever. Such threads are counted for each user, so that a tenant whose
processes do not answer keeps no process of others from being asked about. Without room for a thread
there is no answer.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from threading import Event, Lock, Thread
from threading import enumerate as enumerate_threads
from typing import Any, TypeVar

from emperor.linux.proc import user_of
from emperor.linux.threads import start_thread

T = TypeVar("T")

PATIENCE_SECONDS = 1.0
# Of a long list.
_SECONDS_EACH = 0.001
# After one process of a list did not answer, and where another process of the same user does not.
_LESS_PATIENCE_SECONDS = 0.05
# For all processes of one user in a list.
_USER_SECONDS = 2.0
# Threads that wait for processes of one user. With as many, no other of that user is asked about.
_MOST_THREADS = 64


class _Look(Thread):
    """Puts one question about several processes, one after the other."""

    def __init__(
        self,
        pids: Sequence[int],
        question: Callable[[int], object],
        discard: Callable[[Any], object],
    ) -> None:
        super().__init__(name="asks about processes", daemon=True)
        self._pids = pids
        self._question = question
        self._discard = discard
        self._lock = Lock()
        self.is_given_up = False
        self._then: list[Callable[[], object]] = []
        self.at = pids[0]
        self.user: int | None = None
        self.answers: dict[int, Any] = {}
        self.error: BaseException | None = None
        self.over = Event()

    def run(self) -> None:
        """Ask, until the first late answer."""
        try:
            for pid in self._pids:
                self.at = pid
                answer = self._question(pid)
                with self._lock:
                    if not self.is_given_up:
                        self.answers[pid] = answer
                        continue
                self._discard(answer)
                break
        except BaseException as error:
            self.error = error
        with self._lock:
            self.over.set()
        for then in self._then:
            then()

    def give_up(self) -> int:
        """Want no further answer. Returns the process that gave none."""
        with self._lock:
            self.is_given_up = True
            self.user = user_of(self.at)
            return self.at

    def when_over(self, then: Callable[[], object]) -> None:
        """Call `then` in this thread when its process has answered; at once if it has."""
        with self._lock:
            if not self.over.is_set():
                self._then.append(then)
                return
        then()


def ask(
    pid: int,
    question: Callable[[], T],
    otherwise: T,
    discard: Callable[[T], object] = bool,
    seconds: float = PATIENCE_SECONDS,
) -> T:
    """What `question` returns about a process, or `otherwise` if there is no answer in time, or if
    an earlier question about it still waits. `discard` gets an answer that comes late."""
    asking = _Asking(lambda _: question(), discard)
    asking.ask([pid], seconds)
    answer: T = asking.answers.get(pid, otherwise)
    return answer


def ask_each(
    pids: Sequence[int],
    question: Callable[[int], T | None],
    without_answer: Callable[[int], T | None] = lambda _: None,
) -> list[T]:
    """What `question` returns about these processes, and `without_answer` about those of which the
    kernel tells nothing in time. None stands for nothing to return."""
    asking = _Asking(question, bool)
    asking.ask(pids, PATIENCE_SECONDS)
    found = (asking.answers[p] if p in asking.answers else without_answer(p) for p in pids)
    return [answer for answer in found if answer is not None]


def when_answered(pid: int, then: Callable[[], object]) -> None:
    """Call `then`, in any thread, when the kernel tells of a process of which it told nothing."""
    waiting = _waiting()
    user = user_of(pid)
    same = [look for look in waiting if look.at == pid]
    same += [look for look in waiting if look.user == user]
    if same:
        same[0].when_over(then)
    else:
        then()


class _Asking:
    """One question about several processes, and the answers that came in time."""

    def __init__(self, question: Callable[[int], object], discard: Callable[[Any], object]) -> None:
        self._question = question
        self._discard = discard
        self.answers: dict[int, Any] = {}

    def ask(self, pids: Sequence[int], seconds: float) -> None:
        """Ask about all of these, `seconds` for the first one without an answer."""
        spent: Counter[int | None] = Counter()
        left = pids
        silent = {look.user for look in _waiting()}
        if silent and silent.issuperset(map(user_of, pids)):
            seconds = min(seconds, _LESS_PATIENCE_SECONDS)
        while left := _asked(left, spent):
            look = _Look(left, self._question, self._discard)
            began = time.monotonic()
            if not start_thread(look):
                break
            look.over.wait(seconds + _SECONDS_EACH * len(left))
            culprit = None if look.over.is_set() else look.give_up()
            if look.error:
                raise look.error
            self.answers |= look.answers
            if culprit is None:
                break
            spent[look.user] += round(1000 * (time.monotonic() - began))
            left = left[left.index(culprit) + 1 :]
            seconds = min(seconds, _LESS_PATIENCE_SECONDS)


def _asked(pids: Sequence[int], spent: Counter[int | None]) -> Sequence[int]:
    """The processes among `pids` that are asked about. `spent` are the milliseconds that were
    waited for processes of each user."""
    waiting = _waiting()
    if not waiting:
        return pids
    known = {look.at for look in waiting}
    threads = Counter(look.user for look in waiting)
    crowded = {user for user, count in threads.items() if count >= _MOST_THREADS}
    crowded |= {user for user, time_spent in spent.items() if time_spent > 1000 * _USER_SECONDS}
    return [
        pid for pid in pids
        if pid not in known and not (crowded and user_of(pid) in crowded)
    ]  # fmt: skip


def _waiting() -> list[_Look]:
    """The threads that wait for a process, which nobody expects any more."""
    looks = [each for each in enumerate_threads() if isinstance(each, _Look)]
    return [look for look in looks if look.is_given_up and not look.over.is_set()]
