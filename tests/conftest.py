"""What the suite promises as a whole."""

import os
from collections.abc import Iterator

import pytest

from tests.eventually import eventually
from tests.traces import PREFIX, VARIABLE, traces


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """No process, mount, folder, control group or namespace outlives the last test."""
    os.environ[VARIABLE] = PREFIX
    yield
    del os.environ[VARIABLE]

    def nothing_is_left() -> bool:
        assert not (left := traces()), "\n".join(left)
        return True

    eventually(nothing_is_left, seconds=5, what="nothing is left behind")
