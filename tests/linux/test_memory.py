"""What /proc/meminfo and the groups around a process say."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from emperor.linux.memory import MemoryShortage, memory_of
from tests.eventually import eventually
from tests.linux.control_groups import in_group, removed
from tests.traces import PREFIX

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
LIMIT = 128 << 20
# Tells whether memory is short; takes some until it is; tells it again, and how much it has taken.
TAKES = """
import sys
from emperor.linux.memory import MemoryShortage
is_memory_short = MemoryShortage()
print(is_memory_short(), flush=True)
taken = []
while not is_memory_short():
    taken.append(bytearray(b"x") * (1 << 20))
print(len(taken) << 20, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def limited() -> Iterator[Path]:
    """A group in one that has a limit."""
    is_v1 = (V1 / "cgroup.procs").exists()
    outer = (V1 if is_v1 else V2) / f"{PREFIX}{uuid4().hex}"
    try:
        outer.mkdir()
        limit = "memory.limit_in_bytes" if is_v1 else "memory.max"
        if not (outer / limit).exists():
            outer.rmdir()
            pytest.skip("no group here counts memory")
    except OSError:
        pytest.skip("no group can be made here")
    (outer / limit).write_text(str(LIMIT))
    inner = outer / "inner"
    inner.mkdir()
    yield inner
    for group in (inner, outer):
        eventually(lambda: removed(group), what="the group is removed")  # noqa: B023


def test_the_machine_of_the_tests_has_memory_left() -> None:
    assert not MemoryShortage()()


def test_the_limit_of_a_group_around_counts(limited: Path) -> None:
    with in_group(limited, sys.executable, "-c", TAKES, stdin=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdin
        assert process.stdout.readline() == "False\n"
        taken = int(process.stdout.readline())
        assert LIMIT / 2 < taken < LIMIT
        assert MemoryShortage([limited])()
        assert not MemoryShortage([limited.parent.parent])()
        memory = memory_of(limited)
        assert memory is not None
        assert taken <= memory <= LIMIT
        process.stdin.close()
    assert memory_of(limited / "gone") is None
