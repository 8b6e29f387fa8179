"""What the making of a base of a home leaves where it fails."""

import asyncio
import os
from pathlib import Path

import pytest

from emperor.bases.base_group import group_of_base
from emperor.bases.home_base import HomeBase, Wanted
from emperor.bases.kept_base import Surroundings
from emperor.bases.request import Home, Sharing
from emperor.linux.groups import ControlGroups
from emperor.linux.hierarchies import Hierarchies, Hierarchy
from emperor.model.limits import Limits
from emperor.model.ports import CannotLaunch


class Nobody:
    """Is told nothing, since no base comes to be."""

    def on_ready(self, base: HomeBase) -> None:
        raise AssertionError

    def on_stale(self, base: HomeBase) -> None:
        raise AssertionError

    def on_end(self, base: HomeBase) -> None:
        raise AssertionError


class Groups(ControlGroups):
    """Control groups beneath a folder, which remember which ones have ended."""

    def __init__(self, base: Path) -> None:
        hierarchies = Hierarchies((Hierarchy(base, frozenset({"pids"}), is_v2=True),))
        super().__init__(hierarchies, Limits(), asyncio.get_running_loop())
        self.ended: list[str] = []

    def end(self, name: str, tries: int = 0) -> None:
        self.ended.append(name)
        super().end(name, tries)


async def test_a_group_that_cannot_be_entered_leaves_no_descriptor(tmp_path: Path) -> None:
    groups, home = Groups(tmp_path), Home("/nowhere", None, False, (1024, 1024))
    made = groups.group("uid-1/v-.base/1")
    sharing = Sharing(home, "a.example", {}, Limits(), lambda _: made)
    wanted = Wanted(["json"], Surroundings(frozenset(), {}))
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError, match=r"cgroup\.procs"):
        HomeBase(sharing, wanted, lambda *_: None, asyncio.get_running_loop(), Nobody())
    assert len(os.listdir("/proc/self/fd")) == before
    assert groups.ended == ["uid-1/v-.base/1"]


async def test_a_group_that_cannot_be_made_is_ended(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    groups = Groups(tmp_path / "file")
    with pytest.raises(CannotLaunch, match="cannot make the control group"):
        group_of_base(groups, 1, Limits())
    assert len(groups.ended) == 1
