"""Whose signature makes an entry of the registry valid."""

from base64 import b64encode

import pytest

from emperor.model.registration import Entry, RegisteredAlias, RegisteredIni, RegisteredRemoval
from emperor.model.section import SettingsError
from emperor.model.signers import Signer, read_signers, why_not

KEY = bytes(range(32))
TEXT = b64encode(KEY).decode()
ALICE = Signer("alice-ci", KEY, ("alice",), ("alice.example", "*.alice.example"))


def ini(domain: str, owner: str = "alice") -> RegisteredIni:
    return RegisteredIni(domain, 1, owner, "[uwsgi]\n")


def test_a_file_has_a_signer_in_each_line() -> None:
    text = f"# our keys\n\ned25519 {TEXT} ops\ned25519 {TEXT} alice-ci owners=alice,bob domains=*\n"
    assert read_signers(text, "signers") == (
        Signer("ops", KEY),
        Signer("alice-ci", KEY, ("alice", "bob"), ("*",)),
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"ssh-ed25519 {TEXT} ops", "line 1 of signers: it is not ed25519 BASE64 NAME"),
        (f"ed25519 {TEXT}", "it is not ed25519 BASE64 NAME"),
        ("ed25519 AAAA ops", "the key is not 32 bytes in base64"),
        ("ed25519 *** ops", "the key is not 32 bytes in base64"),
        (f"ed25519 {TEXT} o/ps", "'o/ps' is no name"),
        (f"ed25519-private {TEXT} ops", "it is a private key"),
        (f"ed25519 {TEXT} ops\ned25519 {TEXT} ops", "line 2 of signers: there is a signer ops"),
        (f"ed25519 {TEXT} ops domains=", "'domains=' is not understood"),
        (f"ed25519 {TEXT} ops domains=a.example,", "is not understood"),
        (f"ed25519 {TEXT} ops domains=a.example domains=b.example", "is not understood"),
        (f"ed25519 {TEXT} ops owner=alice", "'owner=alice' is not understood"),
        (f"ed25519 {TEXT} ops owners=alice", "it limits owners and no domains"),
        (f"ed25519 {TEXT} ops domains=A.example", "'A.example' is neither"),
        (f"ed25519 {TEXT} ops domains=a.*", "is neither"),
        ("# nobody yet", "it names no signer"),
    ],
)
def test_a_line_that_is_not_understood_is_refused(line: str, message: str) -> None:
    with pytest.raises(SettingsError, match="signers") as refused:
        read_signers(line, "signers")
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (ini("alice.example"), None),
        (ini("www.alice.example"), None),
        (ini("_.alice.example"), None),
        (RegisteredRemoval("www.alice.example", 2), None),
        (RegisteredAlias("shop.alice.example", 2, "www.alice.example"), None),
        (ini("www.alice.example", "bob"), "may sign inis of alice, and not of bob"),
        (ini("bob.example"), "and not for bob.example"),
        (ini("malalice.example"), "and not for malalice.example"),
        (ini("_"), "and not for _"),
        (ini("_.example"), "and not for _.example"),
        (RegisteredRemoval("bob.example", 2), "and not for bob.example"),
        (RegisteredAlias("bob.example", 2, "www.alice.example"), "and not for bob.example"),
        (RegisteredAlias("x.alice.example", 2, "bob.example"), "and not for bob.example"),
    ],
    ids=repr,
)
def test_a_limited_signer_reaches_no_other_tenant(entry: Entry, why: str | None) -> None:
    found = why_not(ALICE, entry)
    assert found is None if why is None else found and why in found


def test_a_signer_without_limits_may_sign_everything() -> None:
    assert why_not(Signer("ops", KEY), ini("_", "bob")) is None
    assert why_not(Signer("ops", KEY, (), ("*",)), ini("_", "bob")) is None
