"""The file that says who may sign entries."""

from pathlib import Path

import pytest

from emperor.model.registration import BrokenEntry, RegisteredRemoval, Sealed
from emperor.model.section import SettingsError
from emperor.registry.signatures import new_key
from emperor.registry.signers_file import load_check

ENTRY = RegisteredRemoval("www.example.com", 1)


def test_without_a_file_no_signature_is_needed() -> None:
    load_check(None)(Sealed(ENTRY))


def test_with_one_a_signature_is_needed(tmp_path: Path) -> None:
    key, file = new_key("ops"), tmp_path / "signers"
    file.write_text(key.public_line + "\n")
    check = load_check(file)
    check(key.seal(ENTRY))
    with pytest.raises(BrokenEntry, match="nobody has signed it"):
        check(Sealed(ENTRY))


@pytest.mark.parametrize("place", ["signers", "."])
def test_one_that_others_can_change_is_refused(tmp_path: Path, place: str) -> None:
    file = tmp_path / "signers"
    file.write_text(new_key("ops").public_line + "\n")
    (tmp_path / place).chmod(0o777)
    with pytest.raises(SettingsError, match="sign whatever they like; chown root:root"):
        load_check(file)


def test_one_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "signers"
    with pytest.raises(SettingsError, match=f"cannot read signers-file {file}: No such file"):
        load_check(file)
    file.write_bytes(b"# alice\n# \xff\n")
    with pytest.raises(SettingsError, match="line 2: it is not UTF-8 text; save it as UTF-8"):
        load_check(file)
