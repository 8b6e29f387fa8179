"""`make install` and `make uninstall`."""

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from systemd.install import refuse_to_join_others, remove
from tests.eventually import eventually
from tests.systemd.box import Box
from tests.systemd.installation import ROOT, paths_on
from tests.systemd.root_folder import CODE, SETTINGS, Machine
from tests.systemd.service import add, get, left_over, write


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_another_version_takes_the_place_of_the_one_before(machine: Machine) -> None:
    machine.put(settings="1", code="1", gone="1")
    machine.put(settings="2", code="2")
    assert machine.files() == {SETTINGS: "2", CODE: "2"}


def test_edited_settings_stay_with_the_new_ones_beside_them(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.put(settings="1", code="1")
    machine.write(SETTINGS, "mine")
    machine.put(settings="1", code="1")
    assert machine.files() == {SETTINGS: "mine", CODE: "1"}, "nothing is new, nothing is said"
    assert capsys.readouterr().out == ""
    machine.put(settings="2", code="2")
    assert machine.files() == {SETTINGS: "mine", f"{SETTINGS}.new": "2", CODE: "2"}
    assert f"{SETTINGS} was edited and stays" in capsys.readouterr().out


def test_settings_that_were_there_before_us_stay(machine: Machine) -> None:
    machine.write(SETTINGS, "mine")
    machine.put(settings="1", code="1")
    assert machine.files()[SETTINGS] == "mine"


def test_settings_that_were_deleted_do_not_come_back(machine: Machine) -> None:
    machine.put(settings="1", code="1")
    (machine.root / SETTINGS).unlink()
    machine.put(settings="2", code="2")
    assert machine.files() == {CODE: "2"}


def test_what_was_put_goes_and_what_was_edited_stays(machine: Machine) -> None:
    machine.write("etc/other", "")
    machine.write("etc/edited", "mine")
    machine.put(settings="1", code="1", edited="1")
    remove(machine.root, machine.manifest)
    assert machine.files() == {"etc/other": "", "etc/edited": "mine"}
    assert [path.name for path in machine.root.iterdir()] == ["etc"], "no folder is left empty"


def test_without_an_installation_there_is_nothing_to_take_away(machine: Machine) -> None:
    with pytest.raises(SystemExit, match="`make install` was not run"):
        remove(machine.root, machine.manifest)


def test_an_interrupted_installation_can_be_repeated(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(shutil, "copy2", full)
        machine.put(code="1")
    refuse_to_join_others(machine.manifest)
    machine.put(settings="1", code="1")
    assert machine.files() == {SETTINGS: "1", CODE: "1"}
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(shutil, "copy2", full)
        machine.put(code="2")
    remove(machine.root, machine.manifest)
    assert machine.files() == {}
    assert not list(machine.root.iterdir())


def test_what_somebody_else_has_put_there_is_left_alone(machine: Machine) -> None:
    refuse_to_join_others(machine.manifest)
    machine.write("opt/emperord/bin/emperord", "the package's")
    with pytest.raises(SystemExit, match=r"opt/emperord was not made by `make install`; remove it"):
        refuse_to_join_others(machine.manifest)


def test_no_file_names_the_place_where_it_was_made(installed: Path) -> None:
    found = subprocess.run(
        ["grep", "--recursive", "--files-with-matches", "--fixed-strings",
         "-e", str(ROOT), "-e", "/tmp/tmp", installed],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.stdout == ""


def test_nothing_is_installed_that_only_tests_need(installed: Path) -> None:
    packages = {path.name for path in installed.glob("opt/emperord/lib/*/site-packages/*")}
    assert "aiohttp" in packages
    assert not packages & {"pytest", "mypy", "flask", "django", "gevent", "pip", "setuptools"}


def everything(box: Box) -> set[str]:
    """Paths on the disk."""
    return paths_on(box, "/etc", "/home", "/opt", "/srv", "/usr", "/var")


def test_an_uninstall_leaves_only_what_is_the_administrators(
    bare_box: Box,
) -> None:
    box = bare_box
    before = everything(box)
    make = ("make", "--silent", f"--directory={ROOT}")
    assert "systemctl enable --now emperord" in box.must(*make, "install")
    box.must("systemctl", "enable", "--quiet", "--now", "emperord")
    box.must("cp", "/usr/local/share/doc/emperord/examples/backend.conf", "/etc/nginx/nginx.conf")
    box.must("systemctl", "start", "nginx")
    add(box, "app.example")
    assert get(box, "app.example").startswith("200 ")
    assert "app.example" in box.must("emperorctl", "status")
    assert "emperorctl" in box.must("man", "--path", "emperorctl")
    script = "source /usr/local/share/bash-completion/completions/emperorctl; complete"
    assert "emperorctl" in box.must("bash", "-c", script)
    write(box, "/etc/nginx/emperord/balancers.conf", "# mine\n")

    assert "balancers.conf was edited and stays" in box.must(*make, "uninstall")
    eventually(lambda: left_over(box) == "")
    left = everything(box) - before
    kept = {
        "/etc/nginx/emperord",
        "/etc/nginx/emperord/balancers.conf",
        "/etc/uwsgi",
        "/etc/uwsgi/vassals",
        "/etc/uwsgi/vassals/app.example.ini",
        "/var/lib/emperord",
        "/var/lib/emperord/good-inis",
        "/var/lib/emperord/history.db",
        "/var/log/emperord",
        "/var/log/emperord/app.example.log",
        "/var/sockets",
    }
    assert kept <= left
    assert not [path for path in left - kept if "emperor" in path]
