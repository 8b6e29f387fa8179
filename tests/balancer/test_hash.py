"""The stock hash and the order of substitutes, in every Lua."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.balancer.lua import Lua
from tests.balancer.vectors import VECTORS, stock_hash

# nginx lets odd ones through as well, but neither line ends nor NUL.
HOSTS = st.one_of(
    st.from_regex(r"\A([a-zA-Z0-9_-]{1,63}\.){0,3}[a-z]{1,25}\Z"),
    st.text(st.characters(codec="utf-8", exclude_characters="\n\0")),
)
ENTRIES = [f"192.0.2.{number}" for number in range(11, 18)]


def test_the_hash_is_the_one_of_the_slide_in_every_lua(luas: dict[str, Lua]) -> None:
    for name, lua in luas.items():
        answers = [int(answer) for answer in lua("hash", list(VECTORS))]
        assert dict(zip(VECTORS, answers, strict=True)) == VECTORS, name


def test_the_reference_of_these_tests_is_the_hash_of_the_slide() -> None:
    assert {host: stock_hash(host) for host in VECTORS} == VECTORS


MANY = settings(deadline=None, max_examples=50)


@MANY
@given(hosts=st.lists(HOSTS, min_size=1, max_size=100))
def test_every_lua_hashes_any_name_alike(luas: dict[str, Lua], hosts: list[str]) -> None:
    expected = [str(stock_hash(host)) for host in hosts]
    for name, lua in luas.items():
        assert lua("hash", hosts) == expected, name


@MANY
@given(hosts=st.lists(HOSTS, min_size=1, max_size=100), count=st.integers(1, len(ENTRIES)))
@pytest.mark.parametrize("what", ["substitutes", "rendezvous"])
def test_every_lua_finds_the_same_order(
    luas: dict[str, Lua], what: str, hosts: list[str], count: int
) -> None:
    answers = [lua(what, hosts, ENTRIES[:count]) for lua in luas.values()]
    assert answers[1:] == answers[:-1]
