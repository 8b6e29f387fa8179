"""What the registry keeps of a backend, and which texts are its address."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emperor.model import absences, balancer_state
from emperor.model.member import BrokenMember, Capacity, Member, decoded, encoded

MEMBER = Member(
    "192.0.2.11", "m1", Fraction(3, 2), Capacity(8, 16 << 30, 70), "0.1.0", 1_800_000_000
)
# Of a key that this version does not know.
DEEP = b'{"x":' + b"[" * 50_000 + b"]" * 50_000


@given(st.booleans(), st.decimals("0.001", "1000", places=3).map(Fraction), st.text(max_size=20))
def test_a_member_survives_its_form_as_bytes(drains: bool, weight: Fraction, version: str) -> None:
    member = Member("[2001:db8::1]:80", "m2", weight, Capacity(1, 2, 0), version, 7, drains)
    assert decoded(member.address, encoded(member)) == member


def test_what_a_later_version_says_too_is_passed_over() -> None:
    more = encoded(MEMBER).replace(b"{", b'{"zone":"north",', 1)
    assert decoded(MEMBER.address, more) == MEMBER


@pytest.mark.parametrize(
    ("address", "value"),
    [
        ("shop.example", encoded(MEMBER)),
        ("192.0.2.11", b"{}"),
        ("192.0.2.11", b"\xff"),
        ("192.0.2.11", encoded(MEMBER).replace(b'"1.5"', b'"0"')),
        (
            "192.0.2.11",
            encoded(MEMBER).replace(b"{", b'{"zone":' + b"[" * 50_000 + b"]" * 50_000 + b",", 1),
        ),
        ("192.0.2.11", encoded(MEMBER).replace(b'"cores":8', b'"cores":' + b"9" * 400)),
        ("192.0.2.11", encoded(MEMBER).replace(b'"cores":8', b'"cores":-8')),
        ("192.0.2.11", encoded(MEMBER).replace(b'"m1"', b'"' + b"m" * 5000 + b'"')),
    ],
)
def test_a_broken_member_is_refused(address: str, value: bytes) -> None:
    with pytest.raises(BrokenMember):
        decoded(address, value)


NESTED = DEEP + b"}"


@pytest.mark.parametrize(
    "value",
    [b"", NESTED, b'{"serial":-1,"version":""}', b'{"serial":1e99,"version":""}', b"x" * 5000],
)
def test_a_broken_state_of_a_balancer_is_refused(value: bytes) -> None:
    with pytest.raises(balancer_state.BrokenState):
        balancer_state.decoded("lb1", value)


@pytest.mark.parametrize("value", [b"", NESTED, b'{"a":-1}', b'{"a":' + b"9" * 99 + b"}"])
def test_broken_absences_count_as_none(value: bytes) -> None:
    assert absences.decoded(value) == {}
