"""The specs that a source of vassals has read are admitted, refused or retried."""

import asyncio
from dataclasses import replace

import pytest

from emperor.model.fd_budget import FdBudget
from emperor.model.lifecycle import State
from emperor.model.refusal import RefusalReason
from emperor.model.spec import Identity, Spec, Stamp
from emperor.sources import intake as intake_module
from emperor.sources.intake import Intake
from tests.eventually import eventually_async
from tests.supervisor.fakes import SPEC, World

STAMP = Stamp(1, 2, 3, 0, 0)
OTHER = replace(SPEC, domain="b.example", ini="b.example.ini", socket="/s/b.example/socket")


class Source:
    """An intake without a real source, and a governor that serves a.example."""

    def __init__(self) -> None:
        self.world = World()
        self.retried: list[list[str]] = []
        self.intake = Intake(self.world.governor, lambda files: self.retried.append([*files]))
        assert self.intake.resume() == [("a.example.ini", None)]

    def reason(self, domain: str) -> RefusalReason:
        return self.intake.refused[domain].reason


def test_a_new_spec_is_admitted() -> None:
    source = Source()
    source.intake.serve(OTHER, STAMP)
    vassal = source.world.governor.vassals["b.example"]
    assert (vassal.spec, vassal.stamp) == (OTHER, STAMP)
    assert not source.intake.refused


async def test_others_are_retried_after_the_event_that_frees_a_name() -> None:
    source = Source()
    source.intake.serve(replace(OTHER, aliases=("a.example",)), STAMP)
    assert source.reason("b.example") is RefusalReason.CONFLICT
    source.intake.remove("a.example", "a.example.ini")
    assert source.world.governor.vassals.get("a.example") is None
    assert source.retried == [], "the governor is not called within its own notification"
    await asyncio.sleep(0)
    assert source.retried == [["a.example.ini", "b.example.ini"]]
    source.intake.serve(replace(OTHER, aliases=("a.example",)), STAMP)
    assert not source.intake.refused


async def test_vassals_that_go_together_cause_one_retry() -> None:
    source = Source()
    source.intake.serve(OTHER, STAMP)
    source.intake.remove("a.example", "a.example.ini")
    source.intake.remove("b.example", "b.example.ini")
    await asyncio.sleep(0)
    assert source.retried == [["a.example.ini", "b.example.ini"]]


@pytest.mark.parametrize(
    "theirs",
    [
        replace(SPEC, identity=Identity(1001, 1001, "b")),
        replace(SPEC, identity=Identity(0, 1001, "root")),
        replace(SPEC, drops_to="uid = b"),
    ],
)
async def test_another_user_gets_another_listener(theirs: Spec) -> None:
    source = Source()
    process = source.world.run()
    source.intake.serve(theirs, STAMP)
    vassal = source.world.governor.vassals["a.example"]
    assert vassal.state is State.REMOVED
    source.intake.serve(theirs, STAMP)
    process.exits("exited with status 0")
    await eventually_async(lambda: source.retried == [["a.example.ini"]])
    source.intake.serve(theirs, STAMP)
    anew = source.world.governor.vassals["a.example"]
    assert anew.spec == theirs
    assert anew.listener is not vassal.listener


async def test_a_socket_that_cannot_be_bound_is_retried_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(intake_module, "RETRY_SECONDS", 0.0)
    source = Source()
    source.world.listeners.problem = "cannot bind it"
    for _ in range(2):
        source.intake.serve(OTHER, STAMP)
        await asyncio.sleep(0.01)
    assert source.reason("b.example") is RefusalReason.CANNOT_LISTEN
    assert source.intake.refused["b.example"].message == (
        "cannot serve b.example.ini: cannot bind it"
    )
    assert source.retried == [["b.example.ini"]]


def test_a_vassal_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "descriptors", lambda: FdBudget(2))
    source = Source()
    source.intake.serve(OTHER, STAMP)
    assert source.reason("b.example") is RefusalReason.TOO_MANY_VASSALS


async def test_a_broken_version_leaves_the_previous_one_in_service() -> None:
    source = Source()
    source.intake.serve(replace(SPEC, aliases=("c.example",)), STAMP)
    source.intake.serve(OTHER, STAMP)
    source.intake.serve(replace(OTHER, aliases=("c.example",)), STAMP)
    vassal = source.world.governor.vassals["b.example"]
    assert vassal.spec == OTHER
    assert vassal.ini_error
    assert "claims the host c.example" in vassal.ini_error
    assert source.intake.unserved() == ["b.example.ini"]


def test_nothing_is_admitted_once_the_daemon_stops() -> None:
    source = Source()
    source.intake.close()
    source.intake.serve(OTHER, STAMP)
    assert source.world.governor.vassals.get("b.example") is None
