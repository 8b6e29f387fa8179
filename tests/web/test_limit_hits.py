"""A caller of the control API is told of limits of its own alone, an administrator of all."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from emperor.linux.accounts import SystemAccounts
from emperor.linux.groups import ControlGroups
from emperor.linux.hierarchies import Hierarchies, Hierarchy
from emperor.model.admission import Limit
from emperor.model.authority import Caller
from emperor.model.limits import Limits
from emperor.model.ports import Message, WorkerDeath
from emperor.model.spec import Identity
from emperor.model.status import LimitHits
from emperor.web.limit_hits import hits_of_app, limit_hits
from emperor.web.report import last_error
from tests.supervisor.world import SPEC, World

DAEMON, NAMELESS = 1, 4_000_123
OF_DAEMON = LimitHits("daemon", "pids-max", 2, ("a.example",))
ITS_REQUESTS = LimitHits("daemon", "max-held", 3)
OF_NAMELESS = LimitHits(str(NAMELESS), "pids-max", 2, ("a.example",))


@pytest.fixture
async def groups(tmp_path: Path) -> ControlGroups:
    """Two tenants, each of which was refused two forks."""
    hierarchy = Hierarchy(tmp_path, frozenset({"pids"}), is_v2=True)
    groups = ControlGroups(Hierarchies((hierarchy,)), Limits(), asyncio.get_running_loop())
    for uid in (DAEMON, NAMELESS):
        group = groups.adopted(f"uid-{uid}/v-a.example/1")
        assert group
        folder = tmp_path / group.name
        folder.mkdir(parents=True)
        (folder / "pids.max").write_text("5\n")
        (folder / "pids.events").write_text("max 2\n")
    return groups


@pytest.mark.parametrize(
    ("caller", "told"),
    [
        (Caller(0, is_administrator=True), (OF_NAMELESS, ITS_REQUESTS, OF_DAEMON)),
        (Caller(DAEMON, is_administrator=False), (ITS_REQUESTS, OF_DAEMON)),
        (Caller(NAMELESS, is_administrator=False), (OF_NAMELESS,)),
        (Caller(33, is_administrator=False), ()),
    ],
)
async def test_limits_of_others_do_not_exist(
    groups: ControlGroups, caller: Caller, told: tuple[LimitHits, ...]
) -> None:
    turned_away: dict[tuple[int | None, Limit], int] = {(DAEMON, Limit.OVERALL): 3}
    assert limit_hits(groups, SystemAccounts(), caller, turned_away) == told


async def test_an_app_is_told_of_its_own_limits_alone(groups: ControlGroups) -> None:
    ini = replace(SPEC, identity=Identity(DAEMON, DAEMON, "daemon"))
    [hits] = hits_of_app(groups, ini)
    assert (hits.limit, hits.hits) == ("pids-max", 2)
    assert abs(hits.last_at.timestamp() - time.time()) < 60
    assert hits_of_app(groups, replace(ini, domain="b.example")) == ()
    assert hits_of_app(groups, replace(ini, identity=None)) == ()


@pytest.mark.parametrize(
    ("death", "told"),
    [
        (WorkerDeath("memory-max is reached", is_limit=True), "pids-max is reached"),
        (WorkerDeath("worker 1 (pid 7) was killed by SIGKILL"),
         "worker 1 (pid 7) was killed by SIGKILL"),
        (None, "pids-max is reached"),
    ],
    ids=["limit", "signal", "none"],
)  # fmt: skip
def test_a_later_limit_counts_for_more_than_an_earlier_one(
    death: WorkerDeath | None, told: str
) -> None:
    world = World()
    process = world.run()
    process.death = death
    process.says(Message.ACCEPTING)
    process.limit = "pids-max is reached"
    assert last_error(world.vassal) == told
