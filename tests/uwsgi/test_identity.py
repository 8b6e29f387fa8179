"""The user that a vassal runs as: any for an ini of root's, the owner for all others."""

import pytest

from emperor.model.definition import BrokenIni, FileOwner
from emperor.model.settings import Settings, read_settings
from emperor.model.spec import Identity
from emperor.uwsgi.identity import identity_of, reading_as
from tests.uwsgi.house import ALICE, AS_BOB, AS_ROOT, ROOT, SETTINGS, Machine, ini_of, spec

IS_ALICE = Identity(1001, 2001, "alice")


STRICT = read_settings("", "emperord.ini", {"allow-root": "false"})


def identity(
    attributes: str, owner: FileOwner, machine: Machine = AS_ROOT, settings: Settings = SETTINGS
) -> Identity | None:
    return started_as(f"master\n[emperor]\n{attributes}", owner, machine, settings)


def started_as(
    options: str, owner: FileOwner = ROOT, machine: Machine = AS_ROOT, settings: Settings = STRICT
) -> Identity | None:
    ini = ini_of(options.replace(", ", "\n"))
    return identity_of(ini, owner, machine, settings)


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
        ("uid = root", Identity(0, 0, "root")),
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
        # The kernel takes this for "no change", and the app would stay in the group root.
        (f"uid = alice, gid = {2**32 - 1}", "line 5: there is no group '4294967295'"),
        (f"uid = {2**32 - 1}, gid = bobs", "line 4: there is no user '4294967295'"),
        (f"uid = {'9' * 5000}, gid = bobs", "line 4: there is no user '999"),
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


@pytest.mark.parametrize(
    ("options", "who"),
    [
        ("uid = alice", IS_ALICE),
        ("uid = alice, gid = bobs", Identity(1001, 2002, "alice")),
        ("immediate-uid = alice", IS_ALICE),
        ("uid = bob, uid = alice", IS_ALICE),
        ("declare-option = as=uid=$1;gid=$2, as = alice bobs", Identity(1001, 2002, "alice")),
        ("uid = bob, [emperor], uid = alice", IS_ALICE),
        ("uid = bob, gid = bobs, [emperor], uid = alice", IS_ALICE),
        ("uid = alice, [emperor], gid = bobs", Identity(1001, 2002, "alice")),
    ],
)
def test_uwsgis_own_user_counts_before_uwsgi_starts(options: str, who: Identity) -> None:
    assert started_as(f"master, {options}") == who
    assert spec(f"file = a.py\n{options}".replace(", ", "\n")).drops_to == ""


_ROOT_IS_NONE = "so its app would run as root; set uid in a section .emperor. to the user of the a"


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ("master", f"^it belongs to root and names no user, {_ROOT_IS_NONE}"),
        ("uid = root", "line 2: with uid = root its app would run as root"),
        ("gid = bobs", "line 2: with gid = bobs its app would run as root"),
        ("master, [emperor], uid = 0", "line 4: with uid = 0 its app would run as root"),
        ("master, [emperor], allow-root = no", "names no user"),
        ("uid = alice, gid = 0", r"would run as alice \(uid 1001\) with the group root"),
        ("uid = alice, gid = www-data", r"with nginx's group www-data, .* drop gid = www-data"),
        ("uid = carol", r"take carol out of www-data \(gpasswd -d\)"),
        ("uid = www-data", r"www-data \(uid 33\) with nginx's .*; give the app a user of its own"),
        ("uid = proxy", r"line 2: .* proxy \(uid 13\), and min-uid = 1000 keeps .* lower min-uid"),
        ("uid = 999, gid = 999", "run as uid 999, and min-uid = 1000"),
    ],
)
def test_no_app_runs_as_root_nginx_or_the_system(options: str, cause: str) -> None:
    with pytest.raises(BrokenIni, match=cause):
        started_as(options)


@pytest.mark.parametrize(
    ("owner", "cause"),
    [(13, "proxy .* min-uid"), (33, "nginx's group"), (1003, "carol .* nginx's group")],
)
def test_the_owner_of_an_ini_is_no_such_user_either(owner: int, cause: str) -> None:
    with pytest.raises(BrokenIni, match=cause):
        identity("", FileOwner(owner, owner), settings=STRICT)


def test_the_owner_of_the_sockets_runs_no_app() -> None:
    owned_by_bob = read_settings("", "emperord.ini", {"socket-owner": "bob"})
    with pytest.raises(BrokenIni, match="the owner of all sockets"):
        started_as("uid = bob", settings=owned_by_bob)


def test_root_is_permitted_by_the_settings_or_an_ini_of_roots() -> None:
    assert started_as("master", settings=SETTINGS) is None
    assert started_as("master, [emperor], allow-root = true") is None
    with pytest.raises(BrokenIni, match="allow-root may stand in an ini of root's alone"):
        identity("allow-root = true", ALICE)


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ("uid = www-data\ngid = bobs", "nginx's group"),
        ("uid = bob", "with the group root"),
        ("uid = bob\ngid = www-data", "nginx's group"),
        ("uid = proxy\ngid = bobs", "min-uid"),
        ("uid = bob\ngid = bobs\nadd-gid = www-data", "must not be in the group www-data"),
        ("uid = bob\ngid = bobs\nadd-gid = root", "must not be in the group root"),
    ],
)
def test_nor_does_root_become_such_a_user(options: str, cause: str) -> None:
    with pytest.raises(BrokenIni, match=cause):
        spec(f"file = a.py\n{options}\n[emperor]\nuid = root")


def test_nobody_reads_an_ini_that_does_not_name_its_user_yet() -> None:
    ini = ini_of("include = common.ini")
    assert reading_as(ini, ROOT, AS_ROOT, STRICT) == Identity(65534, 65534, None)
    assert reading_as(ini, ROOT, AS_ROOT, SETTINGS) is None
    named = ini_of("include = common.ini\nuid = alice")
    assert reading_as(named, ROOT, AS_ROOT, STRICT) == IS_ALICE
    assert reading_as(ini, ALICE, AS_ROOT, STRICT) == IS_ALICE
