"""The Debian packages of this checkout, and a machine that has them on its disk."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from emperor import __version__
from tests.systemd.box import Box, booted
from tests.systemd.installation import ROOT
from tests.traces import public_folder

NEXT_VERSION = f"{__version__}.1"
# Where a machine has the packages.
PLACE = Path("/srv/packages")
EMPEROR = f"{PLACE}/emperord.deb"
BALANCER = f"{PLACE}/emperord-balancer.deb"
NEXT = f"{PLACE}/next.deb"


def build(folder: Path) -> None:
    """Build both packages, and emperord once more with another version's number, in its code
    too."""
    quickly = os.environ | {"DPKG_DEB_COMPRESSOR_TYPE": "none"}
    subprocess.run(["make", "--silent", "deb", f"OUT={folder}"], cwd=ROOT, env=quickly, check=True)
    for built in list(folder.iterdir()):
        built.rename(folder / f"{built.name.partition('_')[0]}.deb")
    _build_next(folder / Path(EMPEROR).name, folder / "tree", folder / Path(NEXT).name)


def _build_next(package: Path, tree: Path, following: Path) -> None:
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN" / "control"
    control.write_text(control.read_text().replace(f": {__version__}-", f": {NEXT_VERSION}-"))
    (module,) = tree.glob("opt/emperord/lib/*/site-packages/emperor/__init__.py")
    module.write_text(module.read_text().replace(__version__, NEXT_VERSION))
    for compiled in module.parent.glob("__pycache__/__init__.*.pyc"):
        compiled.unlink()
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, following],
        check=True,
        stdout=subprocess.DEVNULL,
    )


@contextmanager
def with_packages(
    packages: Path, more: Mapping[str, Path | str] = MappingProxyType({})
) -> Iterator[Box]:
    """A machine with the packages on its disk, none installed, and what `more` names, as `booted`
    takes it."""
    # Containers often forbid packages to start what they bring. This one cannot be run.
    tree: dict[str, Path | str] = {"/usr/sbin/policy-rc.d": "", **more}
    binds = {str(ROOT): ROOT, str(PLACE): packages}
    with public_folder() as folder, booted(folder, tree, binds) as box:
        yield box


def install(box: Box, *packages: str) -> None:
    """Install packages by dpkg, which asks nothing."""
    box.must("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--install", *packages)
