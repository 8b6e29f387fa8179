"""Copies of inis, which the user of the app can read and nobody but root can write."""

import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from emperor.linux.accounts import SystemAccounts
from emperor.uwsgi.copies import Copy, IniCopies, remove_copy
from emperor.uwsgi.ini import Before
from tests.traces import public_folder
from tests.uwsgi.house import DOMAIN
from tests.uwsgi.oracle import resolved

NAME = f"{DOMAIN}.ini"
TEXT = b"[uwsgi]\nfile = /srv/a.py\n"
MAGIC = "opsdcenvjOPSDCENJ0123456789xX%(["


@pytest.fixture
def folder() -> Iterator[Path]:
    with public_folder() as folder:
        (folder / "vassals").mkdir()
        yield folder


def copies(folder: Path) -> IniCopies:
    return IniCopies(folder / "vassals", folder / "inis")


def _as(user: str, command: str, path: str) -> subprocess.CompletedProcess[bytes]:
    setpriv = ["setpriv", f"--reuid={user}", "--regid=33", "--clear-groups"]
    words = [*setpriv, "sh", "-c", command, "sh", path]
    return subprocess.run(words, check=False, capture_output=True)


def test_the_user_of_the_app_reads_a_copy_and_cannot_fill_it(folder: Path) -> None:
    tenant = SystemAccounts().user("www-data")
    path = copies(folder).make(NAME, TEXT, None, "1", tenant).ini
    assert path == f"{folder}/inis/1/{NAME}"
    assert _as("www-data", 'cat "$1"', path).stdout == TEXT
    for command in ('echo >> "$1"', 'chmod u+w "$1"', 'rm -f "$1"', 'mv "$1" "$1.b"'):
        assert _as("www-data", command, path).returncode != 0, command
    assert _as("nobody", 'cat "$1"', path).returncode != 0
    info = Path(path).stat()
    assert (info.st_uid, stat.S_IMODE(info.st_mode) & 0o227) == (0, 0)
    remove_copy(path)
    assert not (folder / "inis").exists()


def test_a_link_in_the_place_of_a_copy_is_not_followed(folder: Path) -> None:
    path = Path(copies(folder).make(NAME, TEXT, None, "1", None).ini)
    other = folder / "other"
    other.write_text("as it was")
    path.unlink()
    path.symlink_to(other)
    assert copies(folder).make(NAME, TEXT, None, "1", None) == Copy(str(path))
    assert (path.read_bytes(), other.read_text()) == (TEXT, "as it was")


@pytest.mark.parametrize("name", [NAME, "Größe.x.ini"])
def test_a_copy_says_what_the_ini_would_say_in_its_place(folder: Path, name: str) -> None:
    text = "[uwsgi]\n" + "".join(f"a{index} = <%{x}>\n" for index, x in enumerate(MAGIC))
    original = folder / "vassals" / name
    original.write_text(text)
    path = copies(folder).make(name, text.encode(), None, "1", None).ini
    assert resolved(folder / "vassals", path) == resolved(folder / "vassals", name)


def test_defaults_refer_to_the_ini_and_to_their_own_file(folder: Path) -> None:
    text = "[uwsgi]\n" + "".join(f"a{index} = <%{x}>\n" for index, x in enumerate(MAGIC + "v"))
    file = folder / "defaults.ini"
    file.write_text(text)
    ini = folder / "vassals" / NAME
    ini.write_text(f"[uwsgi]\ninclude = {file}\n")
    made = copies(folder).make(NAME, TEXT, Before(str(file), "", text.encode()), "1", None)
    ini_of_copy = folder / "vassals" / "copy.ini"
    ini_of_copy.write_text(f"[uwsgi]\ninclude = {made.defaults}\n")
    (_, *of_copy) = resolved(ini.parent, "copy.ini")
    (_, *of_file) = resolved(ini.parent, NAME)
    assert of_copy == of_file
    assert _as("nobody", 'cat "$1"', made.defaults).returncode == 0
    remove_copy(made.ini)
    assert not (folder / "inis").exists()


def test_copies_of_a_daemon_that_died_are_removed(folder: Path) -> None:
    made = [copies(folder).make(NAME, TEXT, None, str(key), None).ini for key in range(3)]
    copies(folder).sweep(made[:1])
    assert [Path(path).exists() for path in made] == [True, False, False]
    copies(folder).sweep([])
    assert not (folder / "inis").exists()
