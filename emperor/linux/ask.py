"""Asks the kernel about processes of apps, and waits for an answer only for a moment.

While a process is in execve(2), the kernel lets everybody wait who asks for its state, descriptors
or memory (exec_update_lock). It closes files meanwhile, and a file of a tenant's own file system
(FUSE) closes when the tenant likes (measured on 6.18: /proc/PID/stat, fd/N and environ, and
pidfd_getfd; /proc/PID/status and the lists of children and descriptors do not wait). So a thread
asks, and may wait for ever.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from functools import partial
from threading import Thread
from threading import enumerate as enumerate_threads
from typing import TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 1.0
# Of a long list.
_SECONDS_EACH = 0.001
# Threads that wait for processes. With as many, nothing is asked any more.
_MOST_THREADS = 16
_NAME = "asks about "


def ask(
    subject: object,
    question: Callable[[], T],
    otherwise: T,
    discard: Callable[[T], object] = bool,
    seconds: float = PATIENCE_SECONDS,
) -> T:
    """What `question` returns, or `otherwise` if there is no answer in time, or if an earlier
    question about the same subject still waits. `discard` gets an answer that comes late."""
    name = f"{_NAME}{subject}"
    asking = [each.name for each in enumerate_threads() if each.name.startswith(_NAME)]
    if name in asking or len(asking) >= _MOST_THREADS:
        return otherwise
    answer: Future[T] = Future()
    Thread(target=_wait, args=(question, answer, discard), name=name, daemon=True).start()
    try:
        return answer.result(seconds)
    except TimeoutError:
        return otherwise if answer.cancel() else answer.result()


def ask_each(pids: Sequence[int], question: Callable[[int], T | None]) -> list[T]:
    """What `question` returns about these processes; nothing about those without an answer."""
    if not pids:
        return []
    seconds = PATIENCE_SECONDS + _SECONDS_EACH * len(pids)
    together = partial(_answers, pids, question)
    answers = ask(("all", pids[0]), together, None, seconds=seconds)
    if answers is None:
        answers = [ask(pid, partial(question, pid), None, seconds=PATIENCE_SECONDS) for pid in pids]
    return [answer for answer in answers if answer is not None]


def _answers(pids: Sequence[int], question: Callable[[int], T | None]) -> list[T | None] | None:
    return [question(pid) for pid in pids]


def _wait(question: Callable[[], T], answer: Future[T], discard: Callable[[T], object]) -> None:
    try:
        result = question()
        answer.set_result(result)
    except InvalidStateError:
        discard(result)
    except BaseException as error:
        with suppress(InvalidStateError):
            answer.set_exception(error)
