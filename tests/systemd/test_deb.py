"""The Debian package: installed, upgraded under load, removed, purged."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.examples.http2 import adapt, nginx_version
from emperor import __version__
from tests.eventually import eventually
from tests.host import FOLDERS
from tests.systemd.box import Box, booted
from tests.systemd.installation import ROOT, paths_on
from tests.systemd.service import (
    NOTED,
    PLACE,
    RUNS,
    add,
    get,
    leaders,
    left_over,
    show,
    under_load,
    version,
)
from tests.traces import public_folder

NEXT_VERSION = f"{__version__}.1"
# Where a machine has the two packages.
FIRST = "/srv/first/emperord.deb"
NEXT = "/srv/next/emperord.deb"
UNITS = ("emperord.service", "emperord.socket", "emperord-control.socket")


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of this checkout."""
    folder = tmp_path_factory.mktemp("packages")
    quickly = os.environ | {"DPKG_DEB_COMPRESSOR_TYPE": "none"}
    subprocess.run(["make", "--silent", "deb", f"OUT={folder}"], cwd=ROOT, env=quickly, check=True)
    [built] = folder.iterdir()
    return built.rename(folder / Path(FIRST).name)


@pytest.fixture(scope="session")
def next_package(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with another version's number, in its code too."""
    tree = tmp_path_factory.mktemp("tree") / "tree"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN" / "control"
    control.write_text(control.read_text().replace(f": {__version__}-", f": {NEXT_VERSION}-"))
    (module,) = tree.glob("opt/emperord/lib/*/site-packages/emperor/__init__.py")
    module.write_text(module.read_text().replace(__version__, NEXT_VERSION))
    for compiled in module.parent.glob("__pycache__/__init__.*.pyc"):
        compiled.unlink()
    following = tmp_path_factory.mktemp("next") / Path(NEXT).name
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, following],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return following


@pytest.fixture
def machine(package: Path, next_package: Path) -> Iterator[Box]:
    """A machine with both packages on its disk, neither installed."""
    # Containers often forbid packages to start what they bring. This one cannot be run.
    tree: dict[str, Path | str] = {"/usr/sbin/policy-rc.d": ""}
    packages = {
        str(Path(FIRST).parent): package.parent,
        str(Path(NEXT).parent): next_package.parent,
    }
    with public_folder() as folder, booted(folder, tree, {str(ROOT): ROOT, **packages}) as box:
        yield box


def everything(box: Box) -> set[str]:
    """Paths on the disk, but for those that dpkg and others of the system keep for themselves."""
    ours = ("/etc", "/opt", "/srv", "/usr", "/var/lib/systemd", "/var/log/emperord", "/var/sockets")
    return paths_on(box, *ours)


def left(box: Box, before: set[str]) -> set[str]:
    """What is there since `before`, but for what was installed on this machine meanwhile: the box
    sees it."""
    new = everything(box) - before
    return {path for path in new if path.startswith(FOLDERS) or not os.path.lexists(path)}


def install(box: Box, package: str) -> None:
    box.must("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--install", package)


def serve(box: Box, *domains: str) -> None:
    """Start nginx with the package's example, and add these apps."""
    box.must("cp", "/usr/share/doc/emperord/examples/backend.conf", "/etc/nginx/nginx.conf")
    box.must("systemctl", "start", "nginx")
    box.must("mkdir", PLACE)
    for domain in domains:
        add(box, domain, more=NOTED)
        assert get(box, domain).startswith("200 ")


def test_a_balancer_is_installed_from_the_extracted_package(package: Path, tmp_path: Path) -> None:
    place = tmp_path / "nginx"
    place.mkdir()
    page = (ROOT / "docs" / "fleet.md").read_text().partition("## Installing a balancer")[2]
    commands = page.split("```")[1].replace("emperord_*.deb", str(package)).splitlines()
    for line in commands:
        if line.startswith(("dpkg-deb", "cp ")):
            command = line.replace(" /etc/nginx/", " nginx/").split()
            subprocess.run(command, cwd=tmp_path, check=True)
    shipped = Path(shutil.copy(ROOT / "nginx" / "loadbalancer.conf", tmp_path))
    adapt(shipped, nginx_version())
    assert (place / "nginx.conf").read_bytes() == shipped.read_bytes()
    copied = {path.relative_to(place) for path in place.rglob("*.lua")}
    assert copied == {path.relative_to(ROOT) for path in (ROOT / "lua").rglob("*.lua")}


def test_it_serves_when_installed_and_a_purge_leaves_nothing(
    machine: Box,
) -> None:
    box = machine
    before = everything(box)
    install(box, FIRST)
    assert box.must("systemctl", "is-active", *UNITS) == "active\n" * 3
    assert box.must("systemctl", "is-enabled", *UNITS) == "enabled\nstatic\nstatic\n"
    assert box.must("dpkg", "--verify", "emperord") == ""
    serve(box, "a.example")
    assert "a.example" in box.must("emperorctl", "status")
    assert box.must("dpkg", "--verify", "emperord") == "", "it writes nothing into its own files"

    box.must("dpkg", "--remove", "emperord")
    eventually(lambda: box.run("systemctl", "is-active", *UNITS).stdout == "inactive\n" * 3)
    assert left_over(box) == ""
    assert box.must("ls", "/var/log/emperord") == "a.example.log\n", "logs and settings stay"
    assert box.run("test", "-e", "/etc/uwsgi/emperord.ini").returncode == 0
    assert box.run("test", "-e", "/opt/emperord").returncode == 1

    install(box, FIRST)
    assert box.must("systemctl", "is-active", *UNITS) == "active\n" * 3, "it serves again"
    assert get(box, "a.example").startswith("200 ")

    box.must("useradd", "--gid", "emperor", "somebody")
    box.must("dpkg", "--purge", "emperord")
    assert box.run("getent", "group", "emperor").returncode == 0, "it is somebody's own"
    box.must("userdel", "somebody")
    box.must("systemctl", "reset-failed")
    install(box, FIRST)
    box.must("dpkg", "--purge", "emperord")
    assert box.run("getent", "group", "emperor").returncode == 2
    made_by_useradd = {"/etc/subuid-", "/etc/subgid-"}
    apps = {"/etc/uwsgi", "/etc/uwsgi/vassals", "/etc/uwsgi/vassals/a.example.ini"}
    kept = apps | {"/srv/plain.py", PLACE, RUNS}
    assert left(box, before) - made_by_useradd == kept, "an ini is not ours to purge"


def test_the_package_and_make_install_keep_apart(machine: Box) -> None:
    box = machine
    box.must("mkdir", "--parents", "/opt/emperord")
    box.must("touch", "/opt/emperord/manifest")
    refused = box.run("dpkg", "--install", FIRST)
    assert refused.returncode == 1
    assert "cannot install: `make install` has put emperord there; run `make unin" in refused.stdout
    box.must("rm", "/opt/emperord/manifest")
    install(box, FIRST)
    make = ("make", "--silent", f"--directory={ROOT}")
    for target, message in (("uninstall", "`make install` was not run"), ("install", "apt remove")):
        refused = box.run(*make, target)
        assert (refused.returncode, message in refused.stdout) == (2, True), refused.stdout
    assert box.must("systemctl", "is-active", *UNITS) == "active\n" * 3


def test_an_upgrade_under_load_loses_no_request(machine: Box) -> None:
    box = machine
    install(box, FIRST)
    domains = [f"{name}.example" for name in "abcde"]
    serve(box, *domains)
    before = show(box, "MainPID", "NRestarts"), leaders(box, domains)
    with under_load(box, domains) as load:
        install(box, NEXT)
        eventually(lambda: version(box) == NEXT_VERSION)
        load.go_on()
    assert (show(box, "MainPID", "NRestarts"), leaders(box, domains)) == before
    assert re.search(rf"ii +emperord +{NEXT_VERSION}-1 ", box.must("dpkg", "--list", "emperord"))


def test_an_upgrade_leaves_a_daemon_stopped_that_was_stopped(machine: Box) -> None:
    box = machine
    install(box, FIRST)
    box.must("systemctl", "disable", "--quiet", "--now", "emperord")
    eventually(lambda: box.run("systemctl", "is-active", *UNITS).stdout == "inactive\n" * 3)
    former = "/etc/systemd/system/sockets.target.wants/emperord.socket"
    box.must("mkdir", "--parents", former.rpartition("/")[0])
    box.must("ln", "-s", "/usr/lib/systemd/system/emperord.socket", former)
    install(box, NEXT)
    assert box.run("systemctl", "is-active", *UNITS).stdout == "inactive\n" * 3
    assert box.run("systemctl", "is-enabled", "emperord").stdout == "disabled\n"
    assert box.run("test", "-L", former).returncode == 1, "it would keep the socket after a stop"


def test_a_package_is_not_begun_without_the_tools_of_dpkg(tmp_path: Path) -> None:
    for program in ("bash", "dirname", "dpkg-deb"):
        (tmp_path / program).symlink_to(str(shutil.which(program)))
    refused = subprocess.run(
        [ROOT / "systemd/debian/build", "1", tmp_path / "out"],
        env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert refused.returncode == 1
    assert refused.stderr.endswith("no dpkg-shlibdeps; run `apt install dpkg-dev`\n")
