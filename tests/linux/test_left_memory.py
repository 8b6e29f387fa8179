"""The groups of tenants stay while they count memory, by files as the kernel writes them."""

import asyncio
from pathlib import Path

from emperor.linux.hierarchies import Hierarchy
from emperor.linux.left_memory import LeftMemory

TENANT = "uid-1000"


async def test_a_group_goes_when_its_memory_has_gone(tmp_path: Path) -> None:
    group = tmp_path / TENANT
    group.mkdir()
    stat = group / "memory.stat"
    stat.write_text("anon 0\nshmem 4096\n")
    hierarchy = Hierarchy(tmp_path, frozenset({"memory"}), is_v2=True)
    left = LeftMemory([hierarchy], asyncio.get_running_loop())
    left.remove(TENANT)
    left.look()
    assert group.exists(), "it goes on to count"
    stat.unlink()  # the kernel does not count the files of an empty group
    left.look()
    assert not group.exists()
    group.mkdir()
    left.look()
    assert group.exists(), "what is made anew is not looked at"
