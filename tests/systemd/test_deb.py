"""The Debian package: installed, upgraded under load, removed, purged."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.eventually import eventually
from tests.host import FOLDERS
from tests.systemd.box import Box
from tests.systemd.installation import ROOT, paths_on
from tests.systemd.packages import BALANCER, EMPEROR, NEXT, NEXT_VERSION, install
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
    write,
)

UNITS = (
    "emperord.service", "emperord.socket", "emperord-control.socket", "emperord-apps.service",
)  # fmt: skip


def everything(box: Box) -> set[str]:
    """Paths on the disk, but for those that dpkg and others of the system keep for themselves."""
    ours = ("/etc", "/opt", "/srv", "/usr", "/var/lib/systemd", "/var/log/emperord", "/var/sockets")
    return paths_on(box, *ours)


def opt(box: Box) -> str:
    """All that /opt has, and the folder itself."""
    return box.must("find", "/opt", "-printf", r"%p %M %u:%g %l\n")


def left(box: Box, before: set[str]) -> set[str]:
    """What is there since `before`, but for what was installed on this machine meanwhile: the box
    sees it."""
    new = everything(box) - before
    return {path for path in new if path.startswith(FOLDERS) or not os.path.lexists(path)}


def serve(box: Box, *domains: str) -> None:
    """Start nginx with the package's example, and add these apps."""
    box.must("cp", "/usr/share/doc/emperord/examples/backend.conf", "/etc/nginx/nginx.conf")
    box.must("systemctl", "start", "nginx")
    box.must("mkdir", PLACE)
    for domain in domains:
        add(box, domain, more=NOTED)
        assert get(box, domain).startswith("200 ")


def test_it_serves_when_installed_and_a_purge_leaves_nothing(
    machine: Box,
) -> None:
    box = machine
    box.must("sh", "-c", "rm -rf /opt/*")
    before, others = everything(box), opt(box)
    install(box, EMPEROR)
    assert box.must("systemctl", "is-active", *UNITS) == "active\n" * 4
    assert box.must("systemctl", "is-enabled", *UNITS) == "enabled\nstatic\nstatic\nstatic\n"
    assert box.must("dpkg", "--verify", "emperord") == ""
    serve(box, "a.example")
    assert "a.example" in box.must("emperorctl", "status")
    assert box.must("dpkg", "--verify", "emperord") == "", "it writes nothing into its own files"

    box.must("dpkg", "--remove", "emperord")
    eventually(lambda: box.run("systemctl", "is-active", *UNITS).stdout == "inactive\n" * 4)
    assert left_over(box) == ""
    assert box.must("ls", "/var/log/emperord") == "a.example.log\n", "logs and settings stay"
    assert box.run("test", "-e", "/etc/uwsgi/emperord.ini").returncode == 0
    assert opt(box) == others == "/opt drwxr-xr-x root:root \n", "/opt stays, empty"

    install(box, EMPEROR)
    assert box.must("systemctl", "is-active", *UNITS) == "active\n" * 4, "it serves again"
    assert get(box, "a.example").startswith("200 ")

    box.must("useradd", "--gid", "emperor", "somebody")
    purged = box.must("dpkg", "--purge", "emperord")
    assert "nginx.conf includes files that are gone now: nginx will not start" in purged
    assert box.run("getent", "group", "emperor").returncode == 0, "it is somebody's own"
    box.must("userdel", "somebody")
    box.must("systemctl", "reset-failed")
    install(box, EMPEROR)
    box.must("dpkg", "--purge", "emperord")
    assert box.run("getent", "group", "emperor").returncode == 2
    made_by_useradd = {"/etc/subuid-", "/etc/subgid-"}
    apps = {"/etc/uwsgi", "/etc/uwsgi/vassals", "/etc/uwsgi/vassals/a.example.ini"}
    kept = apps | {"/srv/plain.py", PLACE, RUNS}
    assert left(box, before) - made_by_useradd == kept, "an ini is not ours to purge"


def test_the_package_and_make_install_keep_apart(machine: Box) -> None:
    box = machine
    for mark in ("/opt/emperord/manifest", "/usr/local/lib/systemd/system/emperord.service"):
        write(box, mark, "")
        for package in (EMPEROR, BALANCER):
            refused = box.run("dpkg", "--install", package)
            assert refused.returncode == 1
            assert f"cannot install: `make install` has put emperord on this machine ({mark})" in (
                refused.stdout
            )
        box.must("rm", mark)
    write(box, "/opt/emperord/pyvenv.cfg", "")
    refused = box.run("dpkg", "--install", EMPEROR)
    assert "cannot install: /opt/emperord has files that are not of the package" in refused.stdout
    box.must("rm", "-r", "/opt/emperord")
    make = ("make", "--silent", f"--directory={ROOT}")
    for package in (EMPEROR, BALANCER):
        name = Path(package).stem
        install(box, package)
        for option in ("--install", "--remove"):
            box.must("dpkg", option, package if option == "--install" else name)
            refused = box.run(*make, "install", "PREFIX=/opt/other")
            assert refused.returncode == 2
            assert f"cannot install: dpkg has files of {name} on this machine" in refused.stdout
            assert f"run `apt purge {name}`" in refused.stdout
        refused = box.run(*make, "uninstall")
        assert (refused.returncode, "`make install` was not run" in refused.stdout) == (2, True)
        box.must("dpkg", "--purge", name)


def test_an_upgrade_under_load_loses_no_request(machine: Box) -> None:
    box = machine
    install(box, EMPEROR)
    domains = [f"{name}.example" for name in "abcde"]
    serve(box, *domains)
    before = show(box, "MainPID", "NRestarts"), leaders(box, domains)
    with under_load(box, domains) as load:
        install(box, NEXT)
        eventually(lambda: version(box) == NEXT_VERSION)
        load.go_on()
    assert (show(box, "MainPID", "NRestarts"), leaders(box, domains)) == before
    listed = box.must("dpkg", "--list", "emperord")
    assert re.search(rf"ii +emperord +{NEXT_VERSION}-1\+\w+", listed)


def test_an_upgrade_leaves_a_daemon_stopped_that_was_stopped(machine: Box) -> None:
    box = machine
    install(box, EMPEROR)
    box.must("systemctl", "disable", "--quiet", "--now", "emperord")
    eventually(lambda: box.run("systemctl", "is-active", *UNITS).stdout == "inactive\n" * 4)
    former = "/etc/systemd/system/sockets.target.wants/emperord.socket"
    box.must("mkdir", "--parents", former.rpartition("/")[0])
    box.must("ln", "-s", "/usr/lib/systemd/system/emperord.socket", former)
    install(box, NEXT)
    assert box.run("systemctl", "is-active", *UNITS).stdout == "inactive\n" * 4
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


def test_another_python_is_named_as_the_cause_with_the_cure(machine: Box) -> None:
    """As after an upgrade of the system in which the package was held back."""
    box = machine
    install(box, EMPEROR)
    box.must("systemctl", "stop", "emperord")
    box.must("sh", "-c", "sed -i 's/(3, [0-9]*)/(3, 5)/; s/Python 3.[0-9]*,/Python 3.5,/' $0 $1",
             "/opt/emperord/bin/emperord", "/opt/emperord/bin/emperorctl")  # fmt: skip
    sentence = r"/opt/emperord is for Python 3\.5, and /usr/bin/python3 is 3\.\d+ now, as after an"
    write(box, "/etc/systemd/system/emperord.service", "[Service]\nExecStart=/bin/false\n")
    configured = box.run("/var/lib/dpkg/info/emperord.postinst", "configure", "0.1.0-1")
    assert configured.returncode == 1
    assert re.search(f"cannot start emperord: {sentence}", configured.stdout)
    assert re.search(f"cannot start emperorctl: {sentence}", box.run("emperorctl").stdout)
    install(box, EMPEROR)
    hidden = box.must("/var/lib/dpkg/info/emperord.postinst", "configure", "0.1.0-1")
    assert "warning: /etc/systemd/system/emperord.service hides the unit of this" in hidden
