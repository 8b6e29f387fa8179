"""A provisioning command that cannot be run; tests/journeys has those that can."""

import asyncio
from typing import cast

import pytest

from emperor.model.ports import Gate
from emperor.model.provided import Provided
from emperor.sources.provision import Provisioner
from tests.supervisor.world import World, settings


class _Faulty:
    """A gate through which nobody gets."""

    def passing(self) -> None:
        raise ZeroDivisionError


async def test_a_fault_provides_nothing_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    made = settings(provision_command="/bin/true")
    async with asyncio.TaskGroup() as tasks:
        provisioner = Provisioner(made, World().governor, cast(Gate, _Faulty()), tasks)
        assert await provisioner.provide("new.example") is Provided.NOTHING
    assert "cannot provision new.example: a fault in emperord" in caplog.text
