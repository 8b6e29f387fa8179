"""What the server does about a fault while it waits for connections."""

import asyncio
import socket

import pytest

from emperor.web.accept import PAUSE_AFTER_A_FAULT_SECONDS, Acceptor

TURNS = 3


async def test_a_fault_that_comes_again_takes_no_core(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A listener that is closed cannot be watched, which is a ValueError."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == TURNS:
            raise asyncio.CancelledError

    monkeypatch.setattr("emperor.web.accept.asyncio.sleep", sleep)
    listener = socket.socket(socket.AF_UNIX)
    listener.close()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.TaskGroup() as tasks:
            await Acceptor(listener, lambda _: asyncio.Protocol, 1000).run(tasks)
    assert pauses == [PAUSE_AFTER_A_FAULT_SECONDS] * TURNS
    assert caplog.text.count("cannot accept a connection: a fault in emperord") == TURNS
