"""Which entries change when an ini is put into the registry, or taken out."""

import pytest

from emperor.model.registration import (
    Entry,
    RegisteredAlias,
    RegisteredIni,
    RegisteredRemoval,
    Sealed,
)
from emperor.model.registry_change import MOST_ALIASES, Clash, WantedIni, put, remove

WWW, SHOP, OLD = "www.example.com", "shop.example.com", "old.example.com"
INI = RegisteredIni(WWW, 3, "alice", "text")


def held(*entries: Entry, signer: str = "") -> dict[str, Sealed]:
    return {entry.domain: Sealed(entry, signer) for entry in entries}


def test_a_new_domain_begins_with_its_first_serial() -> None:
    wanted = WantedIni(WWW, "alice", "text", (SHOP,))
    new = (RegisteredIni(WWW, 1, "alice", "text"), RegisteredAlias(SHOP, 1, WWW))
    assert put(wanted, {}) == new


@pytest.mark.parametrize(
    ("owner", "text", "signer"), [("bob", "text", ""), ("alice", "new", ""), ("alice", "text", "k")]
)
def test_another_owner_text_or_signer_is_a_new_version(owner: str, text: str, signer: str) -> None:
    wanted = WantedIni(WWW, owner, text, signer=signer)
    assert put(wanted, held(INI)) == (RegisteredIni(WWW, 4, owner, text),)


def test_the_same_ini_is_not_written_again() -> None:
    alias = RegisteredAlias(SHOP, 1, WWW)
    wanted = WantedIni(WWW, "alice", "text", (SHOP,), (SHOP,), "key")
    assert put(wanted, held(INI, alias, signer="key")) == ()


def test_an_alias_that_is_dropped_is_removed_with_it() -> None:
    aliases = (RegisteredAlias(OLD, 7, WWW), RegisteredAlias(SHOP, 2, WWW))
    wanted = WantedIni(WWW, "alice", "text", (SHOP,), (OLD, SHOP))
    assert put(wanted, held(INI, *aliases)) == (
        RegisteredIni(WWW, 4, "alice", "text"),
        RegisteredRemoval(OLD, 8),
    )


def test_an_alias_that_has_passed_to_another_domain_stays_there() -> None:
    passed = RegisteredAlias(OLD, 7, "other.example.com")
    assert put(WantedIni(WWW, "alice", "text", (), (OLD,)), held(INI, passed)) == ()
    assert remove(WWW, [OLD], held(INI, passed)) == (RegisteredRemoval(WWW, 4),)


def test_what_was_removed_comes_back_with_a_higher_serial() -> None:
    gone = held(RegisteredRemoval(WWW, 9), RegisteredRemoval(SHOP, 5))
    assert put(WantedIni(WWW, "alice", "text", (SHOP,)), gone) == (
        RegisteredIni(WWW, 10, "alice", "text"),
        RegisteredAlias(SHOP, 6, WWW),
    )


def test_a_serial_can_be_raised_over_that_of_the_backends() -> None:
    wanted = WantedIni(WWW, "alice", "text", (SHOP,), (SHOP,), least_serial=20)
    assert put(wanted, held(INI, RegisteredAlias(SHOP, 1, WWW))) == (
        RegisteredIni(WWW, 20, "alice", "text"),
        RegisteredAlias(SHOP, 20, WWW),
    )
    assert put(WantedIni(WWW, "alice", "text", least_serial=2), held(INI))[0].serial == 4


@pytest.mark.parametrize(
    ("present", "why"),
    [
        (RegisteredAlias(WWW, 1, "other.example.com"), "is an alias of other.example.com"),
        (RegisteredIni(SHOP, 1, "bob", ""), "has an ini of its own"),
        (RegisteredAlias(SHOP, 1, "other.example.com"), "is one of other.example.com"),
    ],
    ids=repr,
)
def test_a_name_of_another_domain_is_not_taken(present: Entry, why: str) -> None:
    with pytest.raises(Clash, match=why):
        put(WantedIni(WWW, "alice", "text", (SHOP,)), held(present))


def test_more_aliases_than_fit_are_refused() -> None:
    aliases = tuple(f"{number}.example.com" for number in range(MOST_ALIASES + 1))
    with pytest.raises(Clash, match="101 aliases, and 100 are possible"):
        put(WantedIni(WWW, "alice", "text", aliases), {})


def test_a_removal_takes_its_aliases_with_it() -> None:
    alias = RegisteredAlias(SHOP, 2, WWW)
    assert remove(WWW, [SHOP], held(INI, alias)) == (
        RegisteredRemoval(WWW, 4),
        RegisteredRemoval(SHOP, 3),
    )
    assert remove(WWW, [], held(RegisteredRemoval(WWW, 4))) == ()
    assert remove(WWW, [], held(RegisteredRemoval(WWW, 4)), 6) == (RegisteredRemoval(WWW, 6),)
    assert remove(WWW, [], held(RegisteredRemoval(WWW, 4)), signer="ops") == (
        RegisteredRemoval(WWW, 5),
    )
    assert remove(WWW, [], {}, 6) == (RegisteredRemoval(WWW, 6),)
    with pytest.raises(Clash, match=f"an alias of {WWW}"):
        remove(SHOP, [], held(alias))
