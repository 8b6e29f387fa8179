"""How a daemon stays registered: after a fault in it, and until it stops."""

import asyncio
from pathlib import Path
from typing import cast

import pytest

from emperor.model.registry_keys import Keys
from emperor.registry import daemon_membership
from emperor.registry.daemon_membership import DaemonMembership
from emperor.registry.link import Link
from tests.eventually import eventually_async
from tests.registry.memory_engine import MemoryEngine
from tests.registry.to_engine import FaultyLink
from tests.supervisor.world import settings

ADDRESS = "192.0.2.11"


async def test_a_backend_stays_registered_after_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_membership, "_RETRY_SECONDS", 0.01)
    engine = MemoryEngine()
    link = FaultyLink(engine)
    flags = {"run_dir": str(tmp_path), "registry_config": "/registry.ini"}
    ours = settings(fleet_address=ADDRESS, **flags)
    membership = DaemonMembership(ours, cast(Link, link), lambda: False, lambda: 0)
    key = Keys("/emperord").backend(ADDRESS)
    async with asyncio.TaskGroup() as tasks:
        membership.join(tasks)
        await eventually_async(lambda: link.faults == 2 and engine.value(key))
        lease = engine.lease_of(key)
        assert lease is not None
        await engine.end(lease)
        membership.changed()
        await eventually_async(lambda: engine.value(key))
        await membership.leave()
    assert engine.value(key) is None
