"""A daemon with the apps of two tenants, for the attacks of one module."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.tenants import Tenants
from tests.nginx_server import Nginx
from tests.traces import public_folder


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with public_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def tenants(folder: Path) -> Iterator[Tenants]:
    """The daemon and nginx, with no app yet."""
    with Nginx(folder) as nginx, Tenants(folder, nginx) as tenants:
        yield tenants
