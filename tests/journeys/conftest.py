"""A backend for each test, in a folder that nginx's workers can enter."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.backend import Backend, Launch, ungrouped, with_state
from tests.balancer.fleet import Balancer
from tests.nginx_server import Nginx, free_ports
from tests.traces import public_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with public_folder() as folder:
        yield folder


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., Backend]]:
    """Starts nginx and a daemon with these settings; both end, and are checked, with the test. The
    daemon can make no control groups unless it is `grouped`, and keeps what it learns only if it
    `learns`."""
    with ExitStack() as stack:

        def start(
            launch: Launch | None = None,
            *,
            grouped: bool = True,
            learns: bool = False,
            **flags: str,
        ) -> Backend:
            backend = Backend(folder, stack.enter_context(Nginx(folder)), **flags)
            backend.launch = launch or backend.launch
            if learns:
                backend.under = with_state(folder)
            if not grouped:
                backend.under = ungrouped()
                backend.expect("cannot make control groups, so apps are held by their process")
            return stack.enter_context(backend)

        yield start


@pytest.fixture
def backend(start: Callable[..., Backend]) -> Backend:
    """A backend with the default settings."""
    return start()


@pytest.fixture
def balancer(folder: Path, backend: Backend) -> Iterator[Balancer]:
    """A load balancer in front of that backend."""
    place = folder / "balancer"
    place.mkdir()
    address = f"127.0.0.1:{backend.nginx.port}"
    http, https = free_ports(2)
    with Balancer(place, [address], (http, https)) as balancer:
        yield balancer
