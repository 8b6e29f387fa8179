"""Signals that arrive while the loop of the daemon is busy."""

import asyncio
import os
import signal
import sys

import pytest

from emperor.linux.signals import on_signal

# The socket by which asyncio learns of signals holds some 280.
MANY = 1000


async def test_a_burst_of_signals_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    complaints: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)
    loop, ended, asked = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    on_signal(loop, signal.SIGCHLD, ended.set)
    on_signal(loop, signal.SIGUSR1, asked.set)
    try:
        for _ in range(MANY):
            os.kill(os.getpid(), signal.SIGCHLD)
        os.kill(os.getpid(), signal.SIGUSR1)
        async with asyncio.timeout(10):
            await asyncio.gather(ended.wait(), asked.wait())
    finally:
        loop.remove_signal_handler(signal.SIGCHLD)
        loop.remove_signal_handler(signal.SIGUSR1)
    assert complaints == []


async def test_each_signal_wakes_an_idle_loop() -> None:
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    on_signal(loop, signal.SIGUSR1, asked.set)
    try:
        for _ in range(3):
            asked.clear()
            # From another thread, so that this one sleeps in the kernel.
            await asyncio.to_thread(os.kill, os.getpid(), signal.SIGUSR1)
            async with asyncio.timeout(10):
                await asked.wait()
    finally:
        loop.remove_signal_handler(signal.SIGUSR1)
