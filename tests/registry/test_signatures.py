"""Signatures of entries: whose are valid, and which keys are used at all."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from emperor.model.registration import (
    BrokenEntry,
    Entry,
    RegisteredAlias,
    RegisteredIni,
    RegisteredRemoval,
    Sealed,
    decoded,
    encoded,
)
from emperor.model.section import SettingsError
from emperor.model.signers import read_signers
from emperor.registry.signatures import Signers, SigningKey, load_key, new_key

INI = RegisteredIni("www.alice.example", 3, "alice", "[uwsgi]\nfile = app.py\n")
ENTRIES: tuple[Entry, ...] = (
    INI,
    RegisteredAlias("shop.alice.example", 1, "www.alice.example"),
    RegisteredRemoval("www.alice.example", 4),
)


@pytest.fixture
def key() -> SigningKey:
    return new_key("alice-ci")


def signers(*lines: str) -> Signers:
    return Signers(read_signers("\n".join(lines), "signers"))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: type(entry).__name__)
def test_a_signature_holds_on_the_way_through_the_registry(entry: Entry, key: SigningKey) -> None:
    sealed = decoded(entry.domain, encoded(key.seal(entry)))
    signers(key.public_line).check(sealed)


@pytest.mark.parametrize(
    "entry",
    [
        replace(INI, owner="bob"),
        replace(INI, ini="[uwsgi]\nfile = other.py\n"),
        replace(INI, serial=4),
        replace(INI, domain="www.bob.example"),
        RegisteredRemoval("www.alice.example", 3),
    ],
    ids=repr,
)
def test_a_changed_entry_has_no_valid_signature(entry: Entry, key: SigningKey) -> None:
    sealed = replace(key.seal(INI), entry=entry)
    with pytest.raises(BrokenEntry, match="the signature of alice-ci"):
        signers(key.public_line).check(sealed)


def test_each_reason_for_a_refusal_is_told(key: SigningKey) -> None:
    known = signers(key.public_line)
    with pytest.raises(BrokenEntry, match=r"nobody has signed it; .* of alice-ci"):
        known.check(Sealed(INI))
    with pytest.raises(BrokenEntry, match="signed by 'mallory', whom signers-file does not name"):
        known.check(new_key("mallory").seal(INI))
    with pytest.raises(BrokenEntry, match="the signature of alice-ci"):
        known.check(new_key("alice-ci").seal(INI))
    with pytest.raises(BrokenEntry, match=r"alice-ci may sign for bob\.example, and not for www"):
        signers(f"{key.public_line} domains=bob.example").check(key.seal(INI))


def test_a_key_is_replaced_while_entries_of_both_are_valid(key: SigningKey) -> None:
    new = new_key("alice-ci-2")
    both = signers(key.public_line, new.public_line)
    both.check(key.seal(INI))
    both.check(new.seal(INI))
    with pytest.raises(BrokenEntry):
        signers(new.public_line).check(key.seal(INI))


def test_a_saved_key_is_its_owners_alone(key: SigningKey, tmp_path: Path) -> None:
    path = tmp_path / "alice-ci.key"
    key.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    signers(key.public_line).check(load_key(path).seal(INI))
    with pytest.raises(FileExistsError):
        key.save(path)
    path.chmod(0o640)
    with pytest.raises(SettingsError, match=r"others can read it .mode 0640.; run `chmod 600"):
        load_key(path)


@pytest.mark.parametrize("text", ["", "ed25519-private AAAA ops", "ed25519 {key} ops", "\xff"])
def test_a_file_without_a_key_is_refused(text: str, key: SigningKey, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(text.format(key=key.public_line.split()[1]).encode("latin-1"))
    path.chmod(0o600)
    with pytest.raises(SettingsError, match=r"make a key by|it has no key of"):
        load_key(path)


def test_a_daemon_without_a_registry_imports_no_cryptography() -> None:
    program = "import emperor.service, sys; print('cryptography' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert result.stdout == "False\n"
