"""Which names may answer for a host."""

import pytest

from emperor.model.domain import LONGEST_DOMAIN, is_domain
from emperor.model.wildcard import cure_of_name, is_below, is_wildcard, misspelt, names_of


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("example", ["example", "_"]),
        ("a.example.com", ["a.example.com", "_.example.com", "_.com", "_"]),
        ("a.b.c", ["a.b.c", "_.b.c", "_.c", "_"]),
        ("_.example.com", ["_.example.com", "_.com", "_"]),
        ("_", ["_"]),
        ("_dmarc.example", ["_dmarc.example", "_.example", "_"]),
    ],
)
def test_the_host_comes_first_and_then_the_nearest_wildcard(host: str, names: list[str]) -> None:
    assert list(names_of(host)) == names
    assert all(map(is_domain, names))


def test_a_long_host_has_few_names() -> None:
    assert len(list(names_of(".".join("a" * 44)))) <= LONGEST_DOMAIN


def test_only_a_whole_label_is_a_wildcard() -> None:
    assert is_wildcard("_")
    assert is_wildcard("_.example.com")
    assert not is_wildcard("_dmarc.example.com")
    assert not is_wildcard("a._.example.com")


def test_a_wildcard_is_for_subdomains_and_not_for_the_domain() -> None:
    assert is_below("a.example.com", "_.example.com")
    assert is_below("a.b.example.com", "_.example.com")
    assert not is_below("example.com", "_.example.com")
    assert not is_below("an-example.com", "_.example.com")
    assert is_below("example.com", "_")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("*.star.example", "_.star.example"),
        ("*.Example.COM", "_.example.com"),
        ("*.*.example.com", "_.example.com"),
        ("www-*.example.com", "_.example.com"),
        ("*example.com", "_.example.com"),
        (".example.com", "_.example.com"),
        ("*", "_"),
        ("*.exa mple.com", None),
        ("a.example.com", None),
        ("_.example.com", None),
        ("exa mple.com", None),
    ],
)
def test_a_misspelt_wildcard_is_recognised(name: str, meant: str | None) -> None:
    assert misspelt(name) == meant


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("*.example.com", "call it _.example.com.ini, which is for all subdomains"),
        ("WWW.Example.com", "call it www.example.com.ini"),
        (" example.com", "call it example.com.ini"),
        ("example.com.", "call it example.com.ini"),
        ("exa mple.com", None),
        ("a..b", None),
    ],
)
def test_a_name_gets_the_one_that_was_meant_as_cure(name: str, cure: str | None) -> None:
    assert cure_of_name(name) == cure
