"""Whether another user can make a path lead elsewhere."""

import grp
import os
import pwd
from pathlib import Path

import pytest

from emperor.linux.access import let_read
from emperor.linux.trust import _own_groups, open_to_others, others_may_write, who_may_turn
from tests.descriptors import descriptors_left

ALICE = 4711


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder of Alice's with an ini of root's and one of hers."""
    home = tmp_path / "alice"
    home.mkdir()
    os.chown(home, ALICE, ALICE)
    for name, owner in (("hers", ALICE), ("roots", 0)):
        (home / name).write_text("[uwsgi]\n")
        os.chown(home / name, owner, owner)
    return home


def link(folder: Path, target: Path) -> str:
    """A link of root's."""
    path = folder / "app.ini"
    path.symlink_to(target)
    return str(path)


def test_a_link_through_a_tenants_folder_is_the_tenants_to_turn(tmp_path: Path, home: Path) -> None:
    assert who_may_turn(link(tmp_path, home / "roots"), 0) == str(home)


def test_her_own_ini_in_her_own_folder_stays_hers(tmp_path: Path, home: Path) -> None:
    assert who_may_turn(link(tmp_path, home / "hers"), ALICE) is None


def test_a_link_of_hers_is_hers_to_turn(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("[uwsgi]\n")
    path = link(tmp_path, tmp_path / "target")
    assert who_may_turn(path, 0) is None
    os.chown(path, ALICE, ALICE, follow_symlinks=False)
    assert who_may_turn(path, 0) == path


def test_a_folder_open_to_all_is_trusted_only_if_sticky(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "app").write_text("[uwsgi]\n")
    path = link(tmp_path, Path("shared/../shared/app"))
    shared.chmod(0o777)
    assert who_may_turn(path, 0) == str(shared)
    shared.chmod(0o1777)
    assert who_may_turn(path, 0) is None


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "app.ini").symlink_to("app.ini")
    assert who_may_turn(str(tmp_path / "app.ini"), 0) == str(tmp_path / "app.ini")


# A user of Debian with a group of its own, and one whose primary group is another's.
GAMES, ITS_GROUP = 5, 60
SYNC, NOGROUP = 4, 65534


@pytest.mark.parametrize(
    ("mode", "owner", "group", "may"),
    [
        (0o644, 0, 33, False),
        (0o664, 0, 0, False),
        (0o664, 0, 33, True),
        (0o646, 0, 0, True),
        (0o664, GAMES, ITS_GROUP, False),
        (0o666, GAMES, ITS_GROUP, True),
        (0o664, GAMES, 33, True),
        (0o664, SYNC, NOGROUP, True),
        (0o664, ALICE, ALICE, True),
    ],
)
def test_who_may_write(tmp_path: Path, mode: int, owner: int, group: int, may: bool) -> None:
    file = tmp_path / "file"
    file.touch()
    os.chown(file, owner, group)
    file.chmod(mode)
    assert others_may_write(file.stat(), file) is may


def test_the_mode_of_a_group_may_stand_for_an_access_list(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with file.open() as opened:
        let_read(opened.fileno(), ALICE)
    file.chmod(0o664)  # the bits of the group are the mask of the list
    assert others_may_write(file.stat(), file)


def test_an_open_folder_is_named_or_the_one_above_it(tmp_path: Path) -> None:
    folder = tmp_path / "uwsgi" / "vassals"
    folder.mkdir(parents=True)
    assert open_to_others(str(folder)) is None
    for opened in (folder, folder.parent):
        opened.chmod(0o777)
        assert open_to_others(str(folder)) == str(opened)
        opened.chmod(0o755)
    os.chown(folder, ALICE, -1)
    assert open_to_others(str(folder)) == str(folder)


def test_without_a_descriptor_no_group_is_distrusted_for_long(tmp_path: Path) -> None:
    user = next(
        user for user in pwd.getpwall()
        if user.pw_uid and grp.getgrgid(user.pw_gid).gr_name == user.pw_name
    )  # fmt: skip
    file = tmp_path / "a.ini"
    file.touch()
    os.chown(file, user.pw_uid, user.pw_gid)
    file.chmod(0o664)
    _own_groups.cache_clear()
    with descriptors_left():
        assert others_may_write(file.stat(), str(file))
    assert not others_may_write(file.stat(), str(file))
