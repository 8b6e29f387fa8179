"""A machine on which emperord was installed by `make install`."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.roots import PLACE, export
from tests.systemd.box import Base, Box, booted
from tests.systemd.cgroups import Cgroups
from tests.traces import public_folder

ROOT = Path(__file__).parents[2]


def install(root: Path) -> None:
    """What `make install` puts on a machine, below that folder."""
    subprocess.run(["make", "--silent", "install", f"DESTDIR={root}"], cwd=ROOT, check=True)


@contextmanager
def with_emperord(
    installed: Path, cgroups: Cgroups | None = None, has_limits: bool = False
) -> Iterator[Box]:
    """A machine with this installation and with nginx as on a backend. The checkout lies at its
    usual path, for tests/apps."""
    tree: dict[str, Path | str] = {
        "/etc": installed / "etc",
        "/usr": installed / "usr",
        "/etc/nginx/nginx.conf": ROOT / "nginx" / "backend.conf",
    }
    binds = {str(ROOT): ROOT, "/opt/emperord": installed / "opt/emperord"}
    base = Base(cgroups=cgroups, has_limits=has_limits)
    with public_folder() as folder, booted(folder, tree, binds, base) as box:
        box.must("systemd-sysusers")
        box.must("systemd-tmpfiles", "--create", "emperord.conf")
        yield box


@contextmanager
def with_emperord_on(root: Path, cgroups: Cgroups) -> Iterator[Box]:
    """A machine of another release, whose root folder `make test-on` has used, with this checkout
    installed there by that release's own tools, and with nginx as on a backend."""
    with public_folder() as checkout, public_folder() as folder:
        export(checkout)
        tree: dict[str, Path | str] = {
            "/srv/checkout": checkout,
            "/srv/checkout/build": root / PLACE.lstrip("/") / "build",
            "/etc/nginx/nginx.conf": ROOT / "nginx" / "backend.conf",
        }
        with booted(folder, tree, {}, Base(root, cgroups)) as box:
            box.must("make", "--silent", "--directory=/srv/checkout", "install")
            yield box


def paths_on(box: Box, *folders: str) -> set[str]:
    """All paths below these folders, where an installation may write. The rest of the disk is the
    host's, and other programs change it meanwhile."""
    present = [folder for folder in folders if box.run("test", "-e", folder).returncode == 0]
    return set(box.must("find", *present, "-xdev").splitlines())
