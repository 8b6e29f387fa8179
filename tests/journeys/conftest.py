"""A backend for each test, in a folder that nginx's workers can enter."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.backend import Backend, Launch
from tests.nginx_server import Nginx
from tests.traces import public_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with public_folder() as folder:
        yield folder


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., Backend]]:
    """Starts nginx and a daemon with these settings; both end, and are checked, with the test."""
    with ExitStack() as stack:

        def start(launch: Launch | None = None, **flags: str) -> Backend:
            backend = Backend(folder, stack.enter_context(Nginx(folder)), **flags)
            backend.launch = launch or backend.launch
            return stack.enter_context(backend)

        yield start


@pytest.fixture
def backend(start: Callable[..., Backend]) -> Backend:
    """A backend with the default settings."""
    return start()
