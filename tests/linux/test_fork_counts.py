"""How many forks were refused, by the files of groups as kernels write them."""

from pathlib import Path

import pytest

from emperor.linux.fork_counts import ForkCounts
from emperor.linux.hierarchies import Hierarchy
from emperor.model.refused_forks import Forks

RUN, OTHER, TENANT = "uid-5/v-a.example/7", "uid-5/v-b.example/8", "uid-5"
ROOM = {f"{RUN}/pids.max": "20", f"{RUN}/pids.current": "3", f"{RUN}/pids.events": "max 2"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({}, Forks(2, is_full=False), id="with room"),
        pytest.param({f"{RUN}/pids.current": "20"}, Forks(2, is_full=True), id="full"),
        pytest.param({f"{RUN}/pids.max": "max"}, Forks(2, is_full=False), id="without a limit"),
        pytest.param(
            {f"{TENANT}/pids.max": "9", f"{TENANT}/pids.current": "9"},
            Forks(2, is_full=True),
            id="the tenant is full",
        ),
        pytest.param(
            {f"{TENANT}/pids.events.local": "max 5"}, Forks(7, is_full=False), id="since Linux 6.11"
        ),
    ],
)
def test_what_an_app_was_refused(tmp_path: Path, files: dict[str, str], expected: Forks) -> None:
    for name, content in {**ROOM, **files, "uid-6/v-c.example/9/pids.events": "max 1"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{content}\n")
    counts = ForkCounts([Hierarchy(tmp_path, frozenset({"pids"}), is_v2=True)])
    assert counts.look([TENANT]) == {RUN: expected}
    assert counts.listed(RUN) == tmp_path / RUN / "cgroup.procs"


def test_nothing_is_known_without_the_controller(tmp_path: Path) -> None:
    counts = ForkCounts([Hierarchy(tmp_path, frozenset({"memory"}), is_v2=True)])
    assert counts.look([TENANT]) == {}
