"""Groups of tenants that yield the CPU, in the real kernel."""

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from emperor.linux.cpu_marks import CpuMarks
from emperor.linux.groups import ControlGroups
from emperor.linux.hierarchies import Hierarchies, Hierarchy, prepare
from emperor.model.limits import Limits
from tests.eventually import eventually
from tests.linux.control_groups import removed
from tests.traces import PREFIX

MOUNTED = Path("/sys/fs/cgroup")
ONE, OTHER = "uid-4321", "uid-4322"
HALF = Limits(cpu_weight=50)


def hierarchies() -> Iterator[Hierarchy]:
    """Those that have the controller cpu, and tell what a group has used."""
    name = f"{PREFIX}{uuid4().hex}"
    for root in (MOUNTED / "unified", MOUNTED):
        if (root / "cgroup.controllers").exists():
            yield prepare(Hierarchy(root / name, frozenset(), is_v2=True))
            break
    if (MOUNTED / "cpu/cpu.shares").exists():
        yield Hierarchy(MOUNTED / "cpu" / name, frozenset({"cpu"}), is_v2=False)


class Place:
    """Two tenants' groups."""

    def __init__(self, stack: ExitStack) -> None:
        self.hierarchies = tuple(hierarchies())
        self._stack = stack
        for each in self.hierarchies:
            each.base.mkdir(exist_ok=True)
            stack.callback(partial(eventually, partial(removed, each.base)))
            for tenant in (ONE, OTHER):
                (each.base / tenant).mkdir()
                stack.callback(partial(eventually, partial(removed, each.base / tenant)))
        self.base = next(
            (each.base for each in self.hierarchies if "cpu" in each.controllers), None
        )
        if self.base is None or not (self.base / ONE / "cpu.idle").exists():
            pytest.skip("this machine has no cpu.idle")
        self.marks = CpuMarks(self.hierarchies, HALF)

    def text(self, file: str) -> str:
        assert self.base
        return (self.base / file).read_text().strip()

    def put(self, file: str, text: str) -> None:
        assert self.base
        (self.base / file).write_text(text)

    @property
    def weights(self) -> str:
        """The name of the file with the weight of a group."""
        assert self.base
        return "cpu.weight" if (self.base / "cpu.weight").exists() else "cpu.shares"

    def spin(self, tenant: str) -> None:
        """Run a process of that tenant's that computes, on the same core as all others."""
        entrances = [each.base / tenant / "cgroup.procs" for each in self.hierarchies]
        enter = "; ".join(f"echo $$ >{entrance}" for entrance in entrances)
        core = str(min(os.sched_getaffinity(0)))
        process = subprocess.Popen(
            ["taskset", "--cpu-list", core, "sh", "-c", f"{enter}; while :; do :; done"]
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)


@pytest.fixture
def place() -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(stack)


def test_those_yield_that_are_named_and_nobody_else(place: Place) -> None:
    place.marks.mark(frozenset({ONE}), all_apps=True)
    assert [place.text(f"{each}/cpu.idle") for each in (".", ONE, OTHER)] == ["1", "1", "0"]
    place.marks.mark(frozenset({OTHER}), all_apps=False)
    assert [place.text(f"{each}/cpu.idle") for each in (".", ONE, OTHER)] == ["0", "0", "1"]


def test_the_marks_of_an_earlier_daemon_are_taken_away(place: Place) -> None:
    place.marks.mark(frozenset({ONE, OTHER}), all_apps=True)
    CpuMarks(place.hierarchies, HALF).clear()
    assert {place.text(f"{each}/cpu.idle") for each in (".", ONE, OTHER)} == {"0"}


async def test_a_daemon_takes_the_marks_away_when_it_starts(place: Place) -> None:
    place.marks.mark(frozenset({ONE}), all_apps=True)
    ControlGroups(Hierarchies(place.hierarchies), HALF, asyncio.get_running_loop()).sweep()
    assert place.text("cpu.idle") == "0"
    for each in place.hierarchies:
        for tenant in (ONE, OTHER):
            (each.base / tenant).mkdir()


def test_a_tenant_gets_its_weight_back(place: Place) -> None:
    half = "50" if place.weights == "cpu.weight" else "512"
    place.put(f"{ONE}/{place.weights}", half)
    place.marks.mark(frozenset({ONE}), all_apps=False)
    assert place.text(f"{ONE}/{place.weights}") != half
    place.marks.mark(frozenset(), all_apps=False)
    assert place.text(f"{ONE}/{place.weights}") == half


def test_a_weight_that_all_apps_were_given_stays(place: Place) -> None:
    weight = "200" if place.weights == "cpu.weight" else "2048"
    place.put(place.weights, weight)
    place.marks.mark(frozenset({ONE}), all_apps=True)
    assert (place.text("cpu.idle"), place.text(place.weights)) == ("0", weight)


def test_a_group_that_is_gone_or_made_anew_does_no_harm(place: Place) -> None:
    assert place.base
    place.marks.mark(frozenset({ONE, OTHER}), all_apps=False)
    for tenant in (ONE, OTHER):
        (place.base / tenant).rmdir()
    (place.base / ONE).mkdir()
    place.marks.mark(frozenset({ONE}), all_apps=False)
    assert place.text(f"{ONE}/cpu.idle") == "1"
    (place.base / OTHER).mkdir()


def gets_more(place: Place, tenant: str, than: str, times: float) -> Callable[[], bool]:
    """Whether a tenant has used so many times as much as another one, from now on."""
    before = place.marks.look()
    assert before

    def is_so() -> bool:
        now = place.marks.look()
        assert before
        assert now
        used = now.since(before).tenants
        return used[tenant] > 0.2 and used[tenant] > times * used[than]

    return is_so


def test_who_yields_gets_what_the_other_leaves(place: Place) -> None:
    place.spin(ONE)
    eventually(gets_more(place, ONE, OTHER, 10))
    place.spin(OTHER)
    place.marks.mark(frozenset({ONE}), all_apps=False)
    eventually(gets_more(place, OTHER, ONE, 10))
    place.marks.mark(frozenset({OTHER}), all_apps=False)
    eventually(gets_more(place, ONE, OTHER, 10))
    place.marks.mark(frozenset(), all_apps=False)
    eventually(gets_more(place, OTHER, ONE, 0.5))


def test_the_machine_has_used_what_the_apps_have(place: Place) -> None:
    place.spin(ONE)
    before = place.marks.look()
    assert before

    def used_enough() -> bool:
        now = place.marks.look()
        assert now
        assert before
        used = now.since(before)
        assert 0 <= used.apps + used.rest <= used.capacity + 0.05
        return used.apps > 0.2 and used.tenants[ONE] > 0.9 * used.apps

    eventually(used_enough)
