"""What the registry keeps: every entry survives its form as bytes, and nothing else is taken."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emperor.model.registration import (
    BUCKETS,
    BrokenEntry,
    Entry,
    RegisteredAlias,
    RegisteredIni,
    RegisteredRemoval,
    Sealed,
    bucket_of,
    decoded,
    encoded,
    refuse_serial_beyond,
    signed_text,
)
from emperor.model.registry_keys import Keys, Span
from tests.balancer.vectors import VECTORS

SHOP = "shop.example.com"
_SERIALS = st.integers(min_value=1, max_value=2**53)
_INIS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
ENTRIES = st.one_of(
    st.builds(RegisteredIni, st.just(SHOP), _SERIALS, st.just("alice"), _INIS),
    st.builds(RegisteredAlias, st.just(SHOP), _SERIALS, st.just("www.example.com")),
    st.builds(RegisteredRemoval, st.just(SHOP), _SERIALS),
)


@given(ENTRIES, st.binary(max_size=64))
def test_an_entry_survives_its_form_as_bytes(entry: Entry, signature: bytes) -> None:
    sealed = Sealed(entry, "key", signature)
    assert decoded(SHOP, encoded(sealed)) == sealed


@given(ENTRIES, ENTRIES)
def test_a_signature_covers_all_of_an_entry(one: Entry, other: Entry) -> None:
    assert (signed_text(one) == signed_text(other)) == (one == other)


@pytest.mark.parametrize("host", VECTORS)
def test_a_bucket_is_the_slot_of_the_stock_hash(host: str) -> None:
    assert bucket_of(host) == VECTORS[host] % BUCKETS


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (b"", "not an entry"),
        (b"\xff", "not an entry"),
        (b"[]", "not an entry"),
        (b'{"serial": 1, "owner": "alice", "ini": 5}', "not an entry"),
        (b'{"serial": 1, "owner": "alice", "shell": "sh"}', "not an entry"),
        (b'{"serial": 1, "kind": "script"}', "not an entry"),
        (b'{"serial": 0, "owner": "alice"}', "below 1"),
        (b'{"serial": 9007199254740993, "owner": "alice"}', "above 9007199254740992"),
        (b'{"serial": ' + b"9" * 4000 + b', "owner": "alice"}', "above 9007199254740992"),
        (b'{"serial": ' + b"9" * 9000 + b', "owner": "alice"}', "not an entry"),
        (b'{"serial": -' + b"9" * 4000 + b', "owner": "alice"}', "below 1"),
        (b'{"serial": 1}', "no owner"),
        (b'{"serial": 1, "owner": "a\\u0000b"}', "no owner"),
        (b'{"serial": 1, "kind": "alias"}', "no other domain"),
        (b'{"serial": 1, "kind": "alias", "alias_of": "../etc"}', "no other domain"),
        (b'{"serial": 1, "kind": "alias", "alias_of": "shop.example.com"}', "no other domain"),
        (b'{"serial": 1, "owner": "a", "ini": "' + b"x" * 65537 + b'"}', "longer than"),
        (b" " * (1 << 20) + b"{}", "bytes, and"),
    ],
)
def test_a_broken_entry_is_refused(value: bytes, problem: str) -> None:
    with pytest.raises(BrokenEntry, match=problem):
        decoded(SHOP, value)


def test_what_no_backend_would_take_is_not_written() -> None:
    with pytest.raises(BrokenEntry, match="longer than"):
        encoded(Sealed(RegisteredIni(SHOP, 1, "alice", "x" * 65537)))
    with pytest.raises(BrokenEntry, match="not a host name"):
        encoded(Sealed(RegisteredRemoval("../etc", 1)))


def test_the_keys_of_a_bucket_are_a_span() -> None:
    keys = Keys("/emperord")
    number = bucket_of(SHOP)
    assert keys.vassal(SHOP) == f"/emperord/vassals/{number:03x}/{SHOP}"
    span = keys.bucket(number)
    assert span == Span(f"/emperord/vassals/{number:03x}/", f"/emperord/vassals/{number:03x}0")
    assert span.start < keys.vassal(SHOP) < span.end
    assert keys.vassals().start < span.start < span.end <= keys.vassals().end
    assert keys.domain(keys.vassal(SHOP)) == SHOP


def test_there_is_always_a_higher_serial() -> None:
    now = 1_800_000_000.5
    highest = RegisteredRemoval("www.example.com", 1_800_086_400)
    refuse_serial_beyond(highest, now)
    following = replace(highest, serial=highest.serial + 1)
    with pytest.raises(BrokenEntry, match="1800086400 is the highest today"):
        refuse_serial_beyond(following, now)
    refuse_serial_beyond(following, now + 1)
