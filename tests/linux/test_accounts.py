"""Users and groups of this machine: only those of each Debian."""

import os
import pwd
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from emperor.linux.accounts import Registered, SystemAccounts, _by_member, group_id
from emperor.model.spec import Identity
from tests.descriptors import descriptors_left

NOBODY = pwd.getpwnam("nobody")
AS_NOBODY = Identity(NOBODY.pw_uid, NOBODY.pw_gid, "nobody")


@pytest.mark.parametrize("name", ["nobody", str(NOBODY.pw_uid)])
def test_a_user_is_found_by_name_and_by_number(name: str) -> None:
    assert SystemAccounts().user(name) == AS_NOBODY


@pytest.mark.parametrize("name", ["", "no such user", "-1", "4000000000", "9" * 30, "\u0663"])
def test_nobody_else_is_found(name: str) -> None:
    assert SystemAccounts().user(name) is None


def test_groups_are_found_by_name_and_taken_by_number() -> None:
    accounts = SystemAccounts()
    assert accounts.group("root") == 0
    assert accounts.group("4711") == 4711
    assert accounts.group("no such group") is None


# Finds a group, gives it another number, and finds it again.
_CHANGED = """
from pathlib import Path
from emperor.linux.accounts import SystemAccounts
accounts, groups = SystemAccounts(), Path("/etc/group")
print(accounts.group("sites"), accounts.group("sites"))
groups.write_text(groups.read_text().replace("sites:x:4711:", "sites:x:4712:"))
print(accounts.group("sites"))
groups.write_text(groups.read_text().replace("sites:x:4712:", "shops:x:4712:"))
print(accounts.group("sites"), accounts.group("shops"))
"""


def test_a_group_is_looked_up_again_when_its_file_has_changed(tmp_path: Path) -> None:
    groups = tmp_path / "group"
    groups.write_text(Path("/etc/group").read_text(encoding="utf-8") + "sites:x:4711:\n")
    mounted = f'mount --bind {groups} /etc/group && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", mounted, "sh", sys.executable, "-c", _CHANGED]
    printed = subprocess.run(command, check=True, capture_output=True, text=True)
    assert printed.stdout.split() == ["4711", "4711", "4712", "None", "4712"]


@pytest.mark.parametrize(
    "ask",
    [
        lambda accounts: accounts.user("daemon"),
        lambda accounts: accounts.user("nosuch"),
        lambda accounts: accounts.group("daemon"),
        lambda accounts: accounts.is_member(AS_NOBODY, 1),
        lambda _: group_id("daemon"),
    ],
)
def test_without_a_descriptor_nobody_is_said_not_to_be_there(
    ask: Callable[[SystemAccounts], object],
) -> None:
    """The C library finds nobody then, and does not say why."""
    accounts = SystemAccounts()
    with descriptors_left(), pytest.raises(OSError, match="Too many open files"):
        ask(accounts)
    assert ask(accounts) == ask(SystemAccounts()), "it is not remembered"


def test_without_a_descriptor_a_user_is_told_by_the_number() -> None:
    accounts = SystemAccounts()
    with descriptors_left():
        assert accounts.name(1) == "1"
    assert accounts.name(1) == "daemon"


def test_the_daemon_is_who_runs_this() -> None:
    assert SystemAccounts().daemon == SystemAccounts().user(str(os.geteuid()))


@pytest.mark.parametrize(
    ("user", "why"),
    [
        (AS_NOBODY, ""),
        (Identity(7, 7, "nobody"), f"nobody has uid {NOBODY.pw_uid} now, and had 7"),
        (Identity(NOBODY.pw_uid, 7, "x"), f"uid {NOBODY.pw_uid} is nobody's now, and was x's"),
        (Identity(4711, 7, "of a directory"), ""),
        (Identity(NOBODY.pw_uid, 7, None), ""),
    ],
)
def test_a_number_that_is_another_users_is_told(user: Identity, why: str) -> None:
    assert Registered().why_another(user) == why


def test_the_groups_that_list_a_user() -> None:
    text = "audio:x:29:lp, games\nempty:x:30:\nbroken\nodd:x:y:games\nlast:*:31:games,lp\n"
    assert _by_member(text) == {"lp": {29, 31}, "games": {29, 31}}
