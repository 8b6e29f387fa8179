"""Many machines log in at the same moment, as after a loss of power."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from emperor.registry.etcd_http import Http, TimedOut
from emperor.registry.etcd_login import Login
from tests.etcd_cluster import etcd_cluster

pytestmark = pytest.mark.timeout(180)

# A member checks some 20 passwords a second on a core.
MACHINES = 120


async def test_all_machines_of_a_fleet_log_in_at_once() -> None:
    with etcd_cluster(size=1) as cluster:
        member = cluster.access.endpoints[0]

        async def come_in(login: Login) -> None:
            while True:
                try:
                    assert await login.token(member)
                    return
                except TimedOut:
                    await asyncio.sleep(0)

        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(Http(cluster.access))
            logins = [Login(cluster.access, http) for _ in range(MACHINES)]
            for login in logins:
                await stack.enter_async_context(login)
            async with asyncio.timeout(100), asyncio.TaskGroup() as machines:
                for login in logins:
                    machines.create_task(come_in(login))
