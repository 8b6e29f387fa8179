"""A machine on which emperord was installed by `make install`."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.systemd.box import Box, booted
from tests.traces import public_folder

ROOT = Path(__file__).parents[2]


def install(root: Path) -> None:
    """What `make install` puts on a machine, below that folder."""
    subprocess.run(["make", "--silent", "install", f"DESTDIR={root}"], cwd=ROOT, check=True)


@contextmanager
def with_emperord(installed: Path) -> Iterator[Box]:
    """A machine with that, and nginx as a backend has it. The checkout lies where it is, for the
    sake of tests/apps."""
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
