"""Where control groups are made: as /proc tells of this process and of what is mounted."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from emperor.linux.hierarchies import Hierarchy, places, prepare, rank

V2 = "29 25 0:26 / {at} rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw\n"
V1 = "3{n} 25 0:3{n} {root} {at}/{name} rw,relatime shared:1{n} - cgroup cgroup rw,{name}\n"
SLICE = "/system.slice/emperord.service"
APPS = "/system.slice/emperord-apps.service"
BY_HAND = "emperord%2Frun%2Fe"


def v1(at: Path, root: str = "/") -> str:
    names = ("memory", "pids", "cpu,cpuacct", "blkio", "freezer", "name=systemd")
    return "".join(V1.format(n=n, root=root, at=at, name=name) for n, name in enumerate(names))


def found(at: Path, groups: str, mounts: str, is_service: bool = True) -> list[tuple[str, str]]:
    """Each base below `at`, with what it has, in words."""
    return [
        (str(place.base.relative_to(at)), told(place))
        for place in places(groups, mounts, Path("/run/e"), is_service)
    ]


@pytest.mark.parametrize("order", [1, -1])
def test_the_first_hierarchy_kills_best(order: int) -> None:
    """systemd mounts those of v1 in an order of chance, and v2 may be the last."""
    of_v1 = [{"memory"}, {"pids"}, {"cpu"}, set[str]()]
    v1_places = [Hierarchy(Path("/"), frozenset(each), is_v2=False) for each in of_v1][::order]
    v2_place = Hierarchy(Path("/"), frozenset(), is_v2=True)
    assert min(v1_places, key=rank).controllers == {"pids"}
    assert min([*v1_places, v2_place], key=rank) == v2_place
    assert max(v1_places, key=rank).controllers == set(), "systemd's own"


def told(place: Hierarchy) -> str:
    words = ["v2" if place.is_v2 else "v1", *sorted(place.controllers)]
    return " ".join([*words, *(["delegated"] if place.is_delegated else [])])


def test_systemds_group_for_the_apps_is_used_under_v2(tmp_path: Path) -> None:
    (tmp_path / APPS[1:]).mkdir(parents=True)
    assert found(tmp_path, f"0::{SLICE}\n", V2.format(at=tmp_path)) == [(APPS[1:], "v2 delegated")]


def test_without_that_unit_groups_are_below_the_daemons_own(tmp_path: Path) -> None:
    mounts = V2.format(at=tmp_path)
    assert found(tmp_path, f"0::{SLICE}\n", mounts) == [(f"{SLICE[1:]}/{BY_HAND}", "v2")]


@pytest.mark.parametrize("group", ["/", "/user.slice/session-1.scope", SLICE])
def test_a_daemon_started_by_hand_has_them_below_its_own(tmp_path: Path, group: str) -> None:
    (tmp_path / APPS[1:]).mkdir(parents=True)
    base = str(Path(group[1:], BY_HAND))
    assert found(tmp_path, f"0::{group}\n", V2.format(at=tmp_path), False) == [(base, "v2")]


def test_each_controller_of_v1_has_its_own_place(tmp_path: Path) -> None:
    groups = (
        "7:name=systemd:/\n6:freezer:/\n5:blkio:/\n4:cpu,cpuacct:/\n3:pids:/\n2:memory:/a/b\n0::/\n"
    )
    mounts = v1(tmp_path) + V2.format(at=tmp_path / "unified")
    assert sorted(found(tmp_path, groups, mounts, False)) == [
        (f"blkio/{BY_HAND}", "v1 io"),
        (f"cpu,cpuacct/{BY_HAND}", "v1 cpu"),
        (f"memory/a/b/{BY_HAND}", "v1 memory"),
        (f"name=systemd/{BY_HAND}", "v1"),
        (f"pids/{BY_HAND}", "v1 pids"),
        (f"unified/{BY_HAND}", "v2"),
    ]


def test_a_container_sees_its_part_of_a_hierarchy(tmp_path: Path) -> None:
    mounts = v1(tmp_path, root="/docker/1")
    assert found(tmp_path, "2:memory:/docker/1/c\n3:pids:/docker/2\n", mounts, False) == [
        (f"memory/c/{BY_HAND}", "v1 memory")
    ]


def test_the_names_of_two_run_dirs_never_meet(tmp_path: Path) -> None:
    mounts = V2.format(at=tmp_path)
    names = {
        str(base.base)
        for run_dir in ("/run/a-b", "/run/a/b", "/run/a%2Fb")
        for base in places("0::/\n", mounts, Path(run_dir), False)
    }
    assert len(names) == 3


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder below which nothing can be written, with one in it."""
    (tmp_path / "base").mkdir()
    subprocess.run(["mount", "--bind", tmp_path, tmp_path], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def test_a_group_that_is_there_must_be_writable(read_only: Path) -> None:
    place = Hierarchy(read_only / "base", frozenset({"pids"}), is_v2=False)
    with pytest.raises(OSError, match="Read-only file system"):
        prepare(place)
