"""Whose limit was reached, by the files of groups as kernels with v2 and v1 write them."""

from pathlib import Path

import pytest

from emperor.linux.hierarchies import Hierarchy
from emperor.linux.limit_hits import HitCounter, OfApp
from emperor.model.limit_hits import Hit, Reached

RUN, TENANT = "uid-1000/v-a.example/7", "uid-1000"
MEMORY_V2 = {
    "own": {f"{RUN}/memory.events.local": "oom 1\noom_kill 1\n", f"{RUN}/memory.max": "1048576\n"},
    "tenant": {f"{TENANT}/memory.events.local": "oom 1\n", f"{TENANT}/memory.max": "2097152\n"},
    "machine": {f"{RUN}/memory.events.local": "oom 0\n"},
}
MEMORY_V1 = {
    "own": {f"{RUN}/memory.failcnt": "9\n", f"{RUN}/memory.limit_in_bytes": "1048576\n"},
    "tenant": {
        f"{RUN}/memory.failcnt": "0\n", f"{TENANT}/memory.failcnt": "4\n",
        f"{TENANT}/memory.limit_in_bytes": "2097152\n",
    },
    "machine": {},
}  # fmt: skip
PIDS = {
    "own": {f"{RUN}/pids.max": "20\n", f"{RUN}/pids.peak": "20\n"},
    "tenant": {
        f"{RUN}/pids.max": "20\n", f"{RUN}/pids.peak": "7\n",
        f"{TENANT}/pids.max": "30\n", f"{TENANT}/pids.peak": "30\n",
    },
    "without a peak": {f"{RUN}/pids.max": "20\n"},
    "around all apps": {f"{RUN}/pids.max": "20\n", f"{RUN}/pids.peak": "3\n"},
}  # fmt: skip


def put(base: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_text(content)


def test_a_limit_of_no_group_is_noted_for_app_and_tenant() -> None:
    counter = HitCounter([], now=lambda: 7.0)
    counter.note("uid-1000/v-a.example", Reached.LOG)
    counter.note("uid-1000/v-b.example", Reached.LOG)
    assert counter.totals() == {(TENANT, Reached.LOG): 2}
    assert counter.of_app("uid-1000/v-a.example") == {Reached.LOG: OfApp(1, 7.0)}


@pytest.mark.parametrize(
    ("case", "hit"),
    [
        ("own", Hit(Reached.MEMORY, 1 << 20)),
        ("tenant", Hit(Reached.TENANT_MEMORY, 2 << 20)),
        ("machine", Hit(Reached.MACHINE_MEMORY)),
    ],
)
@pytest.mark.parametrize("is_v2", [True, False], ids=["v2", "v1"])
def test_a_kill_is_told_by_the_nearest_full_group(
    tmp_path: Path, case: str, hit: Hit, is_v2: bool
) -> None:
    counter = HitCounter([Hierarchy(tmp_path, frozenset({"memory"}), is_v2)])
    counter.begin(RUN)
    put(tmp_path, (MEMORY_V2 if is_v2 else MEMORY_V1)[case])
    put(tmp_path, {f"{RUN}/{'memory.events' if is_v2 else 'memory.oom_control'}": "oom_kill 2\n"})
    assert counter.totals() == {(TENANT, hit.limit): 2}
    assert counter.take(RUN) == [hit]
    assert counter.take(RUN) == []
    assert counter.totals() == {(TENANT, hit.limit): 2}


@pytest.mark.parametrize(
    ("case", "hit"),
    [
        ("own", Hit(Reached.PIDS, 20)),
        ("tenant", Hit(Reached.TENANT_PIDS, 30)),
        ("without a peak", Hit(Reached.PIDS, 20)),
        ("around all apps", Hit(Reached.MACHINE_PIDS)),
    ],
)
def test_a_refused_fork_is_told_by_the_group_that_was_full(
    tmp_path: Path, case: str, hit: Hit
) -> None:
    counter = HitCounter([Hierarchy(tmp_path, frozenset({"pids"}), is_v2=True)])
    counter.begin(RUN)
    put(tmp_path, {**PIDS[case], f"{RUN}/pids.events": "max 1\n"})
    assert counter.take(RUN) == [hit]


OTHER_RUN, STRANGER = "uid-1000/v-b.example/8", "uid-2000/v-c.example/9"


@pytest.mark.parametrize(
    ("above", "hit", "concerned"),
    [
        ("apps/uid-1000", Hit(Reached.TENANT_PIDS, 30), {RUN, OTHER_RUN}),
        ("apps", Hit(Reached.MACHINE_PIDS), {RUN, OTHER_RUN, STRANGER}),
        (".", Hit(Reached.MACHINE_PIDS), {RUN, OTHER_RUN, STRANGER}),
    ],
)
def test_a_kernel_since_6_11_counts_where_the_limit_was(
    tmp_path: Path, above: str, hit: Hit, concerned: set[str]
) -> None:
    runs = (RUN, OTHER_RUN, STRANGER)
    put(tmp_path, {f"{group}/pids.events.local": "max 3\n" for group in (".", "apps")})
    counter = HitCounter([Hierarchy(tmp_path / "apps", frozenset({"pids"}), is_v2=True)])
    for run in runs:
        counter.begin(run)
    # The groups of tenants are made with the first of theirs.
    put(tmp_path, {f"apps/{TENANT}/pids.events.local": "max 0\n"})
    put(tmp_path, {f"apps/{TENANT}/pids.max": "30\n"})
    assert counter.totals() == {}
    put(tmp_path, {f"{above}/pids.events.local": "max 5\n"})
    assert set(counter.totals()) == {(TENANT, hit.limit)}
    assert {run for run in runs if counter.take(run) == [hit]} == concerned
    for run in runs:
        counter.forget(run)


def test_an_app_has_its_own_hits_and_the_time_of_the_last(tmp_path: Path) -> None:
    now = [100.0]
    counter = HitCounter([Hierarchy(tmp_path, frozenset({"pids"}), is_v2=True)], lambda: now[0])
    for name in (RUN, OTHER_RUN, "uid-1000/v-a.example.org/1"):
        counter.begin(name)
    put(tmp_path, {**PIDS["own"], f"{RUN}/pids.events": "max 2\n"})
    app, other = "uid-1000/v-a.example", "uid-1000/v-b.example"
    assert counter.of_app(app) == {Reached.PIDS: OfApp(2, 100.0)}
    assert counter.of_app(other) == counter.of_app("uid-1000/v-a.example.org") == {}
    now[0] = 200.0
    put(tmp_path, {f"{OTHER_RUN}/pids.max": "1\n", f"{OTHER_RUN}/pids.events": "max 1\n"})
    assert counter.totals() == {(TENANT, Reached.PIDS): 3}
    assert counter.apps_by_limit() == {(TENANT, Reached.PIDS): [other, app]}
    counter.forget(RUN)
    assert counter.of_app(app) == {Reached.PIDS: OfApp(2, 100.0)}, "it may sleep meanwhile"


def test_a_fork_refused_for_all_apps_is_put_down_to_none(
    tmp_path: Path,
) -> None:
    counter = HitCounter([Hierarchy(tmp_path, frozenset({"pids"}), is_v2=True)])
    counter.begin(RUN)
    put(tmp_path, {f"{TENANT}/pids.events.local": "max 4\n", f"{TENANT}/pids.max": "30\n"})
    assert counter.of_app("uid-1000/v-a.example") == {}
    assert counter.totals() == {(TENANT, Reached.TENANT_PIDS): 4}


def test_the_apps_that_reached_a_limit_last_are_kept(tmp_path: Path) -> None:
    counter = HitCounter([Hierarchy(tmp_path, frozenset({"pids"}), is_v2=True)])
    for number in range(1001):
        name = f"{TENANT}/v-{number}.example/1"
        counter.begin(name)
        put(tmp_path, {f"{name}/pids.max": "1\n", f"{name}/pids.events": "max 1\n"})
        counter.look(name)
    [apps] = counter.apps_by_limit().values()
    assert (len(apps), apps[0], apps[-1]) == (
        1000,
        f"{TENANT}/v-1000.example",
        f"{TENANT}/v-1.example",
    )


def test_what_was_before_a_daemon_took_over_does_not_count(tmp_path: Path) -> None:
    put(tmp_path, {f"{RUN}/pids.events": "max 5\n", f"{RUN}/pids.max": "20\n"})
    counter = HitCounter([Hierarchy(tmp_path, frozenset({"pids"}), is_v2=True)])
    counter.begin(RUN)
    assert counter.take(RUN) == []
    counter.forget(RUN)
    assert counter.totals() == {}


def test_what_the_kill_of_an_app_refuses_is_no_limit_of_it(tmp_path: Path) -> None:
    counter = HitCounter([Hierarchy(tmp_path, frozenset({"pids"}), is_v2=False)])
    counter.begin(RUN)
    put(tmp_path, {**PIDS["around all apps"], f"{RUN}/pids.events": "max 1\n"})
    counter.stop(RUN)
    put(tmp_path, {f"{RUN}/pids.max": "0\n", f"{RUN}/pids.events": "max 9\n"})
    assert counter.take(RUN) == [Hit(Reached.MACHINE_PIDS)]
    assert counter.totals() == {(TENANT, Reached.MACHINE_PIDS): 1}


@pytest.mark.parametrize("is_v2", [True, False], ids=["v2", "v1"])
def test_a_held_group_tells_nothing_of_earlier_apps(tmp_path: Path, is_v2: bool) -> None:
    put(tmp_path, (MEMORY_V2 if is_v2 else MEMORY_V1)["tenant"])
    counter = HitCounter([Hierarchy(tmp_path, frozenset({"memory"}), is_v2)])
    counter.begin(RUN, is_new=True)
    put(tmp_path, {f"{RUN}/{'memory.events' if is_v2 else 'memory.oom_control'}": "oom_kill 1\n"})
    assert counter.take(RUN) == [Hit(Reached.MACHINE_MEMORY)]
    now = {"memory.events.local": "oom 2\n"} if is_v2 else {"memory.failcnt": "5\n"}
    put(tmp_path, {f"{TENANT}/{file}": text for file, text in now.items()})
    put(tmp_path, {f"{RUN}/{'memory.events' if is_v2 else 'memory.oom_control'}": "oom_kill 2\n"})
    assert counter.take(RUN) == [Hit(Reached.TENANT_MEMORY, 2097152)]
