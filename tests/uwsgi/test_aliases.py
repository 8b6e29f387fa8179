"""The further host names of an ini, and who may give it some."""

from pathlib import Path

import pytest

from emperor.model.definition import BrokenIni, FileOwner
from emperor.uwsgi.spec import spec_of
from tests.uwsgi.house import (
    ALICE,
    AS_BOB,
    AS_ROOT,
    DOMAIN,
    ROOT,
    SETTINGS,
    Machine,
    ini_of,
    of_owner,
    spec,
)  # fmt: skip


def test_aliases_are_separated_by_blanks_or_commas() -> None:
    made = spec("master\n[emperor]\naliases = b.example, c.example  d.example b.example")
    assert made.aliases == ("b.example", "c.example", "d.example")


@pytest.mark.parametrize(
    ("alias", "cause"),
    [
        (DOMAIN, "it is the ini's own name"),
        ("B.example", "it is no host name"),
        ("../b", "it is no host name"),
        ("b..example", "it is no host name"),
    ],
)
def test_an_alias_is_another_host_name(alias: str, cause: str) -> None:
    with pytest.raises(BrokenIni, match=f"line 4: cannot use the alias .*: {cause}; drop it"):
        spec(f"master\n[emperor]\naliases = c.example {alias}")


def test_the_path_through_an_alias_must_be_bindable_too() -> None:
    alias = "b" * 60 + ".example"
    with pytest.raises(BrokenIni, match="has 116 bytes and the kernel takes 107"):
        spec(f"master\n[emperor]\naliases = {alias}", sockets_dir=Path("/" + "s" * 39))


def test_a_socket_in_the_folder_of_an_alias_is_refused() -> None:
    with pytest.raises(BrokenIni, match=f"line 2: .* of b.example; name that of {DOMAIN}"):
        spec("socket = /var/sockets/b.example/socket\n[emperor]\naliases = b.example")


@pytest.mark.parametrize(
    ("owner", "machine", "may"),
    [(ROOT, AS_ROOT, True), (ALICE, AS_ROOT, False), (ROOT, AS_BOB, True),
     (FileOwner(1002, 2002), AS_BOB, True), (ALICE, AS_BOB, False)],
)  # fmt: skip
def test_a_tenant_cannot_take_a_neighbours_name(
    owner: FileOwner, machine: Machine, may: bool
) -> None:
    text = "master\n[emperor]\naliases = b.example"
    if may:
        assert spec(text, owner, machine).aliases == ("b.example",)
    else:
        with pytest.raises(BrokenIni, match=r"line 4: aliases may stand in an ini of root's alone"):
            spec(text, owner, machine)


def test_a_tenant_has_the_aliases_that_a_registry_grants() -> None:
    ini = ini_of("module = app\n[emperor]\naliases = a.example b.example")
    granted = of_owner(ALICE, "a.example", "b.example", "c.example")
    assert spec_of(granted, ini, SETTINGS, AS_ROOT).aliases == ("a.example", "b.example")
    for some in ((), ("a.example",)):
        with pytest.raises(BrokenIni, match="aliases may stand in an ini of root's alone"):
            spec_of(of_owner(ALICE, *some), ini, SETTINGS, AS_ROOT)
