"""A daemon with the apps of two tenants, for the attacks of one module."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.tenants import ALICE, Tenants
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


@pytest.fixture
def alice(tenants: Tenants) -> Iterator[int]:
    """The pid of alice's app, which runs before and after the attack, and answers."""
    tenants.host(ALICE, "alice.example")
    assert tenants.get("alice.example").status == 200
    before = tenants.leader("alice.example")
    yield before
    assert tenants.get("alice.example").status == 200
    assert tenants.leader("alice.example") == before
    for domain in ("alice.example", "mallory.example"):
        tenants.remove(domain)
        tenants.until(domain, None)
