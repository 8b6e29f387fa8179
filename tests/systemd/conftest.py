"""A machine on which emperord is installed as systemd/emperord.service says."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nginx_server import public_folder
from tests.systemd.box import Box, booted

ROOT = Path(__file__).parents[2]
SNIPPETS = ROOT / "systemd"
UNITS = sorted([*SNIPPETS.glob("*.service"), *SNIPPETS.glob("*.socket")])

INSTALLED: dict[str, Path | str] = {
    **{f"/etc/systemd/system/{path.name}": path for path in UNITS},
    "/etc/sysusers.d/emperord.conf": SNIPPETS / "emperord.sysusers",
    "/etc/tmpfiles.d/emperord.conf": SNIPPETS / "emperord.tmpfiles",
    "/etc/nginx/nginx.conf": ROOT / "nginx" / "backend.conf",
    **{f"/etc/nginx/emperord/{path.name}": path for path in (ROOT / "nginx/emperord").iterdir()},
}


@pytest.fixture
def box() -> Iterator[Box]:
    """The checkout lies where it is, since the scripts of its .venv name it."""
    binds = {str(ROOT): ROOT, "/opt/emperord": ROOT / ".venv"}
    with public_folder() as folder, booted(folder, INSTALLED, binds) as box:
        box.must("systemd-sysusers")
        box.must("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/emperord.conf")
        yield box
