"""The user that a vassal runs as: any for an ini of root's, the owner for all others."""

import pytest

from emperor.model.definition import BrokenIni, FileOwner
from emperor.model.spec import Identity
from emperor.uwsgi.identity import identity_of
from tests.uwsgi.house import ALICE, AS_BOB, AS_ROOT, ROOT, Machine, ini_of

IS_ALICE = Identity(1001, 2001, "alice")


def identity(attributes: str, owner: FileOwner, machine: Machine = AS_ROOT) -> Identity | None:
    lines = attributes.replace(", ", "\n")
    return identity_of(ini_of(f"master\n[emperor]\n{lines}"), owner, machine)


@pytest.mark.parametrize(
    ("attributes", "who"),
    [
        ("", None),
        ("uid = alice", IS_ALICE),
        ("uid = 1001", IS_ALICE),
        ("uid = bob, uid = alice", IS_ALICE),
        ("uid = alice, gid = bobs", Identity(1001, 2002, "alice")),
        ("uid = alice, gid = 77", Identity(1001, 77, "alice")),
        ("uid = 4711, gid = bobs", Identity(4711, 2002, None)),
        ("gid = bobs", Identity(0, 2002, "root")),
    ],
)
def test_an_ini_of_roots_may_name_any_user(attributes: str, who: Identity | None) -> None:
    assert identity(attributes, ROOT) == who


@pytest.mark.parametrize(
    ("attributes", "cause"),
    [
        ("uid = mallory", "line 4: there is no user 'mallory'; create it"),
        ("uid = 4711", "line 4: no user has uid 4711; name a gid as well"),
        ("uid = alice, gid = nobody", "line 5: there is no group 'nobody'; create it"),
        ("uid = -1", "line 4: there is no user '-1'"),
        ("uid = \u0663, gid = 3", "line 4: there is no user '\u0663'"),
        ("uid =", "line 4: there is no user ''"),
    ],
)
def test_a_user_or_group_that_does_not_exist_is_refused(attributes: str, cause: str) -> None:
    with pytest.raises(BrokenIni, match=cause):
        identity(attributes, ROOT)


@pytest.mark.parametrize(
    "attributes", ["", "uid = alice", "uid = 1001", "gid = alices", "uid = alice, gid = 2001"]
)
def test_an_ini_of_a_tenant_runs_in_the_tenants_own_group(
    attributes: str,
) -> None:
    assert ALICE.gid == 33, "that of nginx, which may connect to every socket"
    assert identity(attributes, ALICE) == IS_ALICE


def test_an_owner_without_an_account_is_refused() -> None:
    with pytest.raises(BrokenIni, match="its owner has uid 4711, which is no user's; chown it"):
        identity("", FileOwner(4711, 4712))


@pytest.mark.parametrize(
    "attributes",
    ["uid = root", "uid = 0", "uid = bob", "uid = mallory", "gid = www-data", "gid = 0",
     "uid = alice, gid = bobs", "uid = root, uid = alice"],
)  # fmt: skip
def test_a_tenant_cannot_name_another_user(attributes: str) -> None:
    with pytest.raises(BrokenIni, match="since the ini is not root's: it runs as alice; drop"):
        identity(attributes, ALICE)


@pytest.mark.parametrize("owner", [ROOT, ALICE, FileOwner(1002, 2002)])
def test_a_daemon_that_is_not_root_keeps_its_user(owner: FileOwner) -> None:
    assert identity("", owner, AS_BOB) is None
    assert identity("uid = bob, gid = bobs", owner, AS_BOB) is None
    with pytest.raises(BrokenIni, match=r"line 4: .* since emperord is not root: it runs as bob"):
        identity("uid = alice", owner, AS_BOB)
