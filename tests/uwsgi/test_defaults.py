"""The file of defaults as it is read, and what it may hold."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from emperor.handover.gate import Gate
from emperor.model.section import SettingsError
from emperor.model.settings import read_settings
from emperor.uwsgi.defaults import Defaults, DefaultsFile, read_defaults
from emperor.uwsgi.ini import Ini, parse
from emperor.uwsgi.options import uwsgi_options
from emperor.uwsgi.resolver import Resolver
from emperor.uwsgi.spec import spec_of
from tests.traces import public_folder
from tests.uwsgi.house import AS_ROOT, DOMAIN, ROOT, SETTINGS, of_owner
from tests.uwsgi.oracle import UWSGI


@pytest.fixture
def folder() -> Iterator[Path]:
    with public_folder() as folder:
        yield folder


def written(folder: Path, text: str) -> Path:
    """The path of a file of defaults with this text."""
    path = folder / "defaults.ini"
    path.write_text(f"[uwsgi]\n{text}\n")
    return path


def read(folder: Path, text: str) -> Defaults:
    """The file of defaults with this text, as it is read."""
    return read_defaults(written(folder, text))


def ini_of(text: str) -> Ini:
    """The ini of the test's vassal."""
    return parse(f"[uwsgi]\n{text}\n".encode(), f"{DOMAIN}.ini", "/etc/uwsgi/vassals")


def test_options_of_the_defaults_come_first_and_have_no_line(folder: Path) -> None:
    ini = read(folder, "idle = 60\nenv = A=1").before(ini_of("idle = 30\nfile = /a.py"))
    assert [(option.key, option.value, option.line) for option in ini.options] == [
        ("idle", "60", 0), ("env", "A=1", 0), ("idle", "30", 2), ("file", "/a.py", 3)
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "; threads = 2"])
def test_the_file_may_hold_no_option(folder: Path, text: str) -> None:
    ini = read(folder, text).before(ini_of("idle = 30"))
    assert [option.key for option in ini.options] == ["idle"]
    (folder / "defaults.ini").write_text(text)
    assert read_defaults(folder / "defaults.ini").ini.options == ()


def test_the_ini_wins_over_the_defaults_in_the_spec(folder: Path) -> None:
    defaults = read(folder, "idle = 60\nlisten = 7\ncron = 0 0 0 0 0 /bin/true")
    ini = defaults.before(ini_of("idle = 30\nfile = /a.py"))
    made = spec_of(of_owner(ROOT), ini, SETTINGS, AS_ROOT)
    assert (made.idle, made.backlog, made.overlaps) == (30, 7, False)
    assert uwsgi_options(made).defaults == defaults.file.digest
    assert not DefaultsFile(None).are_those_of([made])
    assert DefaultsFile(folder / "defaults.ini").load().are_those_of([made])


def test_a_digest_tells_versions_by_their_content(folder: Path) -> None:
    first, same = read(folder, "idle = 60"), read(folder, "idle = 60")
    assert first == same
    assert first.file.digest != read(folder, "idle = 61").file.digest


async def test_uwsgi_resolves_an_ini_after_the_defaults(folder: Path) -> None:
    defaults = read(folder, "set = base=/srv\nidle = 60")
    (folder / f"{DOMAIN}.ini").write_text("[uwsgi]\nfile = %(base)/a.py\nset = x=1\n")
    ini = defaults.before(ini_of("file = %(base)/a.py\nset = x=1"))
    assert ini.needs_uwsgi
    resolved = await Resolver(UWSGI, folder, Gate()).resolve(ini, None)
    keys = {option.key: (option.value, option.line) for option in resolved.options}
    assert (keys["idle"], keys["file"]) == (("60", 0), ("/srv/a.py", 2))
    assert "include" not in keys


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("socket = /run/a.sock", "line 2: socket = /run/a.sock would be the socket of every"),
        ("http-socket = :8080", "would be the socket of every vassal"),
        ("idle = 1\n[emperor]\nuid = bob", "line 4: it has a section .emperor."),
        ("a = \0", "NUL byte"),
    ],
)
def test_defaults_that_cannot_be_are_refused(folder: Path, text: str, cause: str) -> None:
    path = written(folder, text)
    with pytest.raises(SettingsError, match=cause):
        DefaultsFile(path).load()


@pytest.mark.parametrize("mode", [0o666, 0o640, 0o600])
def test_only_root_writes_them_and_everybody_reads_them(folder: Path, mode: int) -> None:
    path = written(folder, "idle = 1")
    path.chmod(mode)
    with pytest.raises(SettingsError, match="chmod"):
        DefaultsFile(path).load()


def test_defaults_of_a_tenant_are_refused(folder: Path) -> None:
    path = written(folder, "idle = 1")
    os.chown(path, 65534, 65534)
    with pytest.raises(SettingsError, match="chown root"):
        DefaultsFile(path).load()
    os.chown(path, 0, 0)
    os.chown(folder, 65534, 65534)
    with pytest.raises(SettingsError, match="others may change"):
        DefaultsFile(path).load()


def test_defaults_that_include_a_tenants_file_are_refused(folder: Path) -> None:
    more = folder / "more.ini"
    more.write_text("[uwsgi]\nidle = 1\n")
    path = written(folder, f"idle = 1\ninclude = {more}")
    DefaultsFile(path).load()
    os.chown(more, 65534, 65534)
    with pytest.raises(SettingsError, match=f"line 3: others than root can change {more}, which"):
        DefaultsFile(path).load()


def test_defaults_that_are_missing_are_refused_at_the_start(folder: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        DefaultsFile(folder / "defaults.ini").load()


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        ("defaults.ini", "must be an absolute path"),
        ("/etc/uwsgi/defaults.yaml", "ends in .ini"),
        ("/etc/uwsgi/vassals/defaults.ini", "it would be a vassal"),
    ],
)
def test_the_setting_takes_the_path_of_an_ini_elsewhere(path: str, cause: str) -> None:
    with pytest.raises(SettingsError, match=cause):
        read_settings("", "emperord.ini", {"vassal-defaults": path})
