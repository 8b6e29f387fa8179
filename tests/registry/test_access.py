"""The file of the registry and the password on the disk."""

import os
from pathlib import Path

import pytest

from emperor.model.section import SettingsError
from emperor.registry.access import load_access, read_password


def test_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "registry.ini"
    path.write_text("[registry]\nendpoints = https://10.0.0.1:2379\n")
    assert load_access(path).endpoints == ("https://10.0.0.1:2379",)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "registry.ini"
    with pytest.raises(SettingsError, match=f"{path}: No such file"):
        load_access(path)
    path.write_bytes(b"[registry]\n\xff = 1\n")
    with pytest.raises(SettingsError, match="line 2: it is not UTF-8"):
        load_access(path)
    with pytest.raises(SettingsError, match="/dev/zero: it is no ordinary file"):
        load_access("/dev/zero")


def test_a_user_who_may_not_read_it_is_told_the_cure(tmp_path: Path) -> None:
    path = tmp_path / "registry.ini"
    path.touch(mode=0o600)
    os.seteuid(65534)
    try:
        with pytest.raises(SettingsError, match="a group of this user must be able to read it"):
            load_access(path)
    finally:
        os.seteuid(0)


def test_a_password_that_every_user_may_read_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("a secret\n")
    path.chmod(0o640)
    assert read_password(path) == "a secret"
    path.chmod(0o644)
    with pytest.raises(SettingsError, match=f"chmod o= {path}"):
        read_password(path)
    path.write_text("\n")
    path.chmod(0o600)
    with pytest.raises(SettingsError, match="no password"):
        read_password(path)
