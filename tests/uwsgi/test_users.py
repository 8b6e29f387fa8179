"""Users and groups of an ini that do not count, or not as they look."""

import pytest

from emperor.model.spec import Identity
from emperor.uwsgi.findings import Severity
from emperor.uwsgi.users import ignored_users, unknown_users
from tests.uwsgi.house import AS_ROOT, ini_of

ROOT_USER = Identity(0, 0, "root")
ALICE_USER = Identity(1001, 2001, "alice")


@pytest.mark.parametrize(
    ("options", "start", "expected"),
    [
        ("uid = bob", ALICE_USER, "the ini belongs to alice, so the app runs as alice, and uid ="),
        ("uid = nosuch", ALICE_USER, "and uid = nosuch is ignored"),
        ("uid = root", ALICE_USER, "and uid = root is ignored"),
        ("gid = bobs", ALICE_USER, "and gid = bobs is ignored"),
        ("add-gid = bobs", ALICE_USER, "and add-gid = bobs is ignored"),
        ("uid = bob\n[emperor]\nuid = alice", ALICE_USER, "[emperor] has the app run as alice"),
        ("uid = bob", ROOT_USER, "uid = bob without gid leaves the app in the group root"),
        ("uid = 4711", ROOT_USER, "uid = 4711 without gid leaves the app in the group root"),
    ],
)
def test_a_user_that_does_not_count_gets_a_warning(
    options: str, start: Identity, expected: str
) -> None:
    (finding,) = ignored_users(ini_of(options), start, AS_ROOT)
    assert (finding.line, finding.severity) == (2, Severity.WARNING)
    assert expected in finding.text
    assert finding.cure


@pytest.mark.parametrize(
    ("options", "start"),
    [
        ("uid = alice\ngid = alices", ALICE_USER),
        ("uid = 1001", ALICE_USER),
        ("uid = bob\ngid = bobs", ROOT_USER),
        ("uid = root", ROOT_USER),
        ("uid = bob", Identity(0, 33, "root")),
    ],
)
def test_a_user_that_counts_gets_no_warning(options: str, start: Identity) -> None:
    assert list(ignored_users(ini_of(options), start, AS_ROOT)) == []


def test_only_root_may_chroot() -> None:
    (finding,) = unknown_users(ini_of("chroot = /srv"), ALICE_USER, AS_ROOT)
    assert finding.severity is Severity.ERROR
    assert list(unknown_users(ini_of("chroot = /srv"), ROOT_USER, AS_ROOT)) == []
