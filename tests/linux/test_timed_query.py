"""A process that lets the kernel wait holds nobody up."""

import threading
import time
from collections.abc import Iterator

import pytest

from emperor.linux import timed_query as module
from emperor.linux.timed_query import ask, ask_each, when_answered
from tests.eventually import eventually
from tests.threads import no_thread_left


class Kernel:
    """Answers with the number of the process, and for those in `stuck` not before `end`."""

    def __init__(self, stuck: set[int]) -> None:
        self.stuck = stuck
        self.end = threading.Event()

    def answer(self, pid: int) -> int:
        if pid in self.stuck:
            self.end.wait()
        return pid


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    made = Kernel({-7, *range(-100, -80)})
    yield made
    made.end.set()
    eventually(lambda: not any("asks" in each.name for each in threading.enumerate()))


def test_a_late_answer_is_discarded(kernel: Kernel) -> None:
    late: list[int] = []
    assert ask(-7, lambda: kernel.answer(-7), 0, late.append, seconds=0.01) == 0
    assert ask(-7, lambda: 1, 0) == 0, "an earlier question still waits"
    assert ask(-8, lambda: kernel.answer(-8), 0) == -8
    kernel.end.set()
    eventually(lambda: late == [-7])
    eventually(lambda: ask(-7, lambda: 1, 0) == 1)


def test_a_failure_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        ask(-7, lambda: 1 // 0, 0)


def test_only_the_process_that_waits_is_left_out(kernel: Kernel) -> None:
    assert ask_each([-6, -7, -8], kernel.answer) == [-6, -8]
    assert ask_each([], kernel.answer) == []


def test_without_an_answer_a_process_is_not_gone(kernel: Kernel) -> None:
    assert ask_each([-6, -7, -8], kernel.answer, lambda pid: 100 - pid) == [-6, 107, -8]


def test_without_a_thread_there_is_no_answer(kernel: Kernel) -> None:
    with no_thread_left():
        assert ask(-6, lambda: kernel.answer(-6), 0) == 0
        assert ask_each([-6, -8], kernel.answer, lambda pid: 100 - pid) == [106, 108]
    assert ask(-6, lambda: kernel.answer(-6), 0) == -6


def test_a_late_answer_is_told(kernel: Kernel) -> None:
    told: list[int] = []
    when_answered(-7, lambda: told.append(1))
    assert told == [1], "nothing waits for it"
    ask_each([-7], kernel.answer)
    when_answered(-7, lambda: told.append(2))
    assert told == [1]
    kernel.end.set()
    eventually(lambda: told == [1, 2])


def test_processes_of_one_user_hide_no_others(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(module, "_LESS_PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(module, "_MOST_THREADS", 8)
    monkeypatch.setattr(module, "user_of", lambda pid: 1001 if pid < -80 else 1002)
    began = time.monotonic()
    for _ in range(50):
        pids = sorted([*kernel.stuck, -6, -8])
        assert ask_each(pids, kernel.answer) == [-8, -6]
        assert ask(-6, lambda: 6, 0) == 6
    assert time.monotonic() - began < 5
    assert sum("asks" in each.name for each in threading.enumerate()) <= 8 + 1


def test_slow_processes_of_one_user_cost_two_seconds(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(module, "_LESS_PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(module, "_USER_SECONDS", 0.1)
    began = time.monotonic()
    assert ask_each([*sorted(kernel.stuck), -6], kernel.answer) == []
    assert time.monotonic() - began < 0.7, "all of these are of one user"


def test_of_a_user_who_is_silent_less_is_expected(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "user_of", lambda _: 1001)
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.5)
    assert ask_each([-7], kernel.answer) == []
    began = time.monotonic()
    assert ask_each([-100], kernel.answer) == []
    assert ask(-99, lambda: kernel.answer(-99), 0) == 0
    assert time.monotonic() - began < 0.5
