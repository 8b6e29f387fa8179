"""A machine on which emperord was installed by `make install`."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.box import Box, booted
from tests.traces import public_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make install` puts below DESTDIR."""
    root = tmp_path_factory.mktemp("installed")
    subprocess.run(["make", "--silent", "install", f"DESTDIR={root}"], cwd=ROOT, check=True)
    return root


@pytest.fixture
def box(installed: Path) -> Iterator[Box]:
    """The checkout lies where it is, for the sake of tests/apps."""
    tree: dict[str, Path | str] = {
        "/etc": installed / "etc",
        "/usr": installed / "usr",
        "/etc/nginx/nginx.conf": ROOT / "nginx" / "backend.conf",
    }
    binds = {str(ROOT): ROOT, "/opt/emperord": installed / "opt/emperord"}
    with public_folder() as folder, booted(folder, tree, binds) as box:
        box.must("systemd-sysusers")
        box.must("systemd-tmpfiles", "--create", "emperord.conf")
        yield box


@pytest.fixture
def bare_box() -> Iterator[Box]:
    """A machine that has not heard of emperord yet, with the checkout on it."""
    with public_folder() as folder, booted(folder, {}, {str(ROOT): ROOT}) as box:
        yield box
