"""Which vassals an order is for that names domains, shell patterns, or all."""

from dataclasses import replace

import pytest

from emperor.model.authority import Operation
from emperor.model.selection import is_pattern, select
from tests.cli.records import NOW, parked, running, throttled

VASSALS = (
    running("a.example.com"),
    parked("b.example.com"),
    throttled("c.example.com"),
    replace(parked("closed.example.com"), maintenance_since=NOW),
    running("other.example"),
)
ALL = ("a.example.com", "b.example.com", "c.example.com", "closed.example.com", "other.example")


@pytest.mark.parametrize(
    ("words", "domains", "unmatched"),
    [
        (("b.example.com",), ("b.example.com",), ()),
        (("nobody.example",), ("nobody.example",), ()),
        (("*",), ALL, ()),
        (("*.example.com",), ALL[:4], ()),
        (("[ab].example.com",), ALL[:2], ()),
        (("?.example.com", "a.example.com"), ALL[:3], ()),
        (("other.example", "*"), ("other.example", *ALL[:4]), ()),
        (("*.example.org", "a.example.com"), ("a.example.com",), ("*.example.org",)),
        (("A*",), (), ("A*",)),
        (("*.example.com.", "[z-a]"), (), ("*.example.com.", "[z-a]")),
    ],
)
def test_words_select_each_vassal_once(
    words: tuple[str, ...], domains: tuple[str, ...], unmatched: tuple[str, ...]
) -> None:
    selection = select(words, VASSALS, Operation.RELOAD)
    assert (selection.domains, selection.unmatched, selection.spared) == (domains, unmatched, ())


@pytest.mark.parametrize(
    ("order", "spared"),
    [
        (Operation.START, {"closed.example.com"}),
        (Operation.RESTART, {"b.example.com", "closed.example.com"}),
        (Operation.RESTART_FRESH, {"b.example.com", "closed.example.com"}),
        (Operation.RELOAD, set()),
    ],
)
def test_an_order_to_many_spares_who_must_not_start(order: Operation, spared: set[str]) -> None:
    selection = select(("*",), VASSALS, order)
    assert {vassal.name for vassal in selection.spared} == spared
    assert set(selection.domains) == set(ALL) - spared
    assert select(ALL, VASSALS, order).domains == ALL, "who is named is meant"
    both = select(("*", "closed.example.com"), VASSALS, order)
    assert "closed.example.com" in both.domains
    assert "closed.example.com" not in {vassal.name for vassal in both.spared}


@pytest.mark.parametrize("word", ["*.a", "a?", "[ab]"])
def test_no_domain_is_a_pattern(word: str) -> None:
    assert is_pattern(word)
    assert not is_pattern("_x-1.example.com")
