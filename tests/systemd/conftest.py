"""Machines to throw away: with emperord, and without."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.once import once
from tests.systemd.box import Box, booted
from tests.systemd.installation import ROOT, install, with_emperord
from tests.systemd.packages import build, with_packages
from tests.traces import public_folder


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make install` puts below DESTDIR."""
    return once(tmp_path_factory, "installed", install)


@pytest.fixture
def box(installed: Path) -> Iterator[Box]:
    """A machine with emperord installed, and not started."""
    with with_emperord(installed) as box:
        yield box


@pytest.fixture
def bare_box() -> Iterator[Box]:
    """A machine without emperord, with the checkout on its disk."""
    with public_folder() as folder, booted(folder, {}, {str(ROOT): ROOT}) as box:
        yield box


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the Debian packages."""
    return once(tmp_path_factory, "packages", build)


@pytest.fixture
def machine(packages: Path) -> Iterator[Box]:
    """A machine with the packages on its disk, none installed."""
    with with_packages(packages) as box:
        yield box
