"""A backend for each test, in a folder that nginx's workers can enter."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.backend import Backend
from tests.nginx_server import Nginx, public_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with public_folder() as folder:
        yield folder


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., Backend]]:
    """Start nginx and the daemon with these settings; both end, and are judged, with the test."""
    with ExitStack() as stack:

        def start(**flags: str) -> Backend:
            nginx = stack.enter_context(Nginx(folder))
            return stack.enter_context(Backend(folder, nginx, **flags))

        yield start


@pytest.fixture
def backend(start: Callable[..., Backend]) -> Backend:
    """With the settings as they are by default."""
    return start()
