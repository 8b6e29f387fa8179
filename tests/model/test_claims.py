"""Host names and sockets belong to the first ini that claims them."""

from dataclasses import replace
from typing import Any, NoReturn

import pytest

from emperor.model.claims import Claims
from tests.supervisor.world import SPEC

OTHER = replace(SPEC, domain="b.example", ini="b.example.ini", socket="/s/b.example/socket")
LARGE = replace(SPEC, aliases=("c.example", "d.example"), foreign_sockets=("127.0.0.1:9000",))


class Unscanned(dict[str, Any]):
    """A table that cannot be gone through."""

    def _scan(self) -> NoReturn:
        pytest.fail("an operation looks at every claim")

    __iter__ = keys = values = items = _scan


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> Claims:
    """Claims whose operations must not take longer the more inis there are."""
    claims = Claims()
    for name in ("_hosts", "_sockets", "_larger"):
        monkeypatch.setattr(claims, name, Unscanned())
    claims.take(LARGE)
    return claims


@pytest.mark.parametrize(
    "wanted", [{"aliases": ("c.example",)}, {"foreign_sockets": ("127.0.0.1:9000",)}]
)
def test_what_an_ini_holds_is_refused_to_others(claims: Claims, wanted: dict[str, Any]) -> None:
    conflict = claims.conflict(replace(OTHER, **wanted))
    assert conflict
    assert "which a.example.ini has" in conflict
    assert claims.conflict(LARGE) is None


def test_what_a_new_version_drops_is_free(claims: Claims) -> None:
    claims.take(SPEC)
    assert claims.conflict(replace(OTHER, aliases=LARGE.aliases)) is None
    assert claims.conflict(replace(OTHER, foreign_sockets=LARGE.foreign_sockets)) is None
    assert claims.conflict(replace(OTHER, aliases=("a.example",)))


def test_what_an_ini_held_is_free_once_it_is_gone(claims: Claims) -> None:
    claims.release(SPEC)
    everything = replace(OTHER, aliases=("a.example", *LARGE.aliases))
    assert claims.conflict(replace(everything, foreign_sockets=LARGE.foreign_sockets)) is None


def test_a_release_leaves_what_others_hold(claims: Claims) -> None:
    claims.take(OTHER)
    claims.release(replace(SPEC, aliases=("b.example",)))
    assert claims.conflict(replace(SPEC, aliases=("b.example",)))
