"""Backends of these tests try again at once, and read an ini as soon as it is written."""

import pytest

from emperor.pull import follower


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for a connection that is tried again."""
    monkeypatch.setattr(follower, "_AGAIN_SECONDS", (0.001,))
    monkeypatch.setattr("emperor.registry.reads._PAUSE_SECONDS", 0.0)
    monkeypatch.setattr("emperor.sources.folder.GRACE_SECONDS", 0.01)
