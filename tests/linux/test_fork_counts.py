"""How many forks were refused, by the files of groups as kernels write them."""

from pathlib import Path

import pytest

from emperor.linux.fork_counts import ForkCounts
from emperor.linux.hierarchies import Hierarchy
from emperor.model.refused_forks import Forks

RUN, OTHER, TENANT = "uid-5/v-a.example/7", "uid-5/v-b.example/8", "uid-5"
ROOM = {
    f"{RUN}/pids.max": "20", f"{RUN}/pids.current": "3", f"{RUN}/pids.events": "max 2",
    f"{OTHER}/pids.events": "max 4", "uid-6/v-c.example/9/pids.events": "max 1",
}  # fmt: skip
OF_OTHER = {OTHER: Forks(4, is_full=False)}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({}, {RUN: Forks(2, is_full=False), **OF_OTHER}, id="with room"),
        pytest.param(
            {f"{RUN}/pids.current": "20"}, {RUN: Forks(2, is_full=True), **OF_OTHER}, id="full"
        ),
        pytest.param(
            {f"{RUN}/pids.max": "max"},
            {RUN: Forks(2, is_full=False), **OF_OTHER},
            id="without a limit",
        ),
        pytest.param(
            {f"{TENANT}/pids.max": "9", f"{TENANT}/pids.current": "9"},
            {TENANT: Forks(6, is_full=True)},
            id="the tenant is full",
        ),
        pytest.param(
            {
                f"{TENANT}/pids.max": "9", f"{TENANT}/pids.current": "9",
                f"{TENANT}/pids.events.local": "max 5",
            },
            {TENANT: Forks(11, is_full=True)},
            id="the tenant is full, since Linux 6.11",
        ),
    ],
)  # fmt: skip
def test_what_was_refused(
    tmp_path: Path, files: dict[str, str], expected: dict[str, Forks]
) -> None:
    for name, content in {**ROOM, **files}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{content}\n")
    counts = ForkCounts([Hierarchy(tmp_path, frozenset({"pids"}), is_v2=True)])
    assert counts.look([TENANT]) == expected
    assert counts.folder(RUN) == tmp_path / RUN


def test_nothing_is_known_without_the_controller(tmp_path: Path) -> None:
    counts = ForkCounts([Hierarchy(tmp_path, frozenset({"memory"}), is_v2=True)])
    assert counts.look([TENANT]) == {}
