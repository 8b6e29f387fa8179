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
from tests.supervisor.world import SPEC, World

STAMP = Stamp(1, 2, 3, 0, 0)
OTHER = replace(SPEC, domain="b.example", ini="b.example.ini", socket="/s/b.example/socket")


class Source:
    """An intake without a real source, and a governor that serves a.example."""

    def __init__(self, spec: Spec = SPEC) -> None:
        self.world = World(spec)
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
    claimant = replace(OTHER, aliases=("a.example", "c.example"))
    source.intake.serve(claimant, STAMP)
    vassal = source.world.governor.vassals["b.example"]
    assert (vassal.spec.aliases, vassal.spec.taken_aliases) == (("c.example",), ("a.example",))
    source.intake.remove("a.example", "a.example.ini")
    assert source.world.governor.vassals.get("a.example") is None
    assert source.retried == [], "the governor is not called within its own notification"
    await asyncio.sleep(0)
    assert source.retried == [["a.example.ini", "b.example.ini"]]
    source.intake.serve(claimant, STAMP)
    assert vassal.spec == claimant
    assert source.intake.unserved() == []


def test_the_domain_of_an_ini_counts_for_more_than_an_alias() -> None:
    source = Source()
    source.intake.serve(replace(SPEC, aliases=("b.example", "c.example")), STAMP)
    source.intake.serve(OTHER, STAMP)
    vassals = source.world.governor.vassals
    assert vassals["b.example"].spec == OTHER
    assert vassals["a.example"].spec.aliases == ("c.example",)
    assert source.intake.unserved() == ["a.example.ini"], "for when b.example goes"


def test_what_is_served_is_claimed_whatever_comes_of_telling_it() -> None:
    source = Source()

    def fail(_domain: str) -> None:
        raise RuntimeError("a bug")

    source.intake.end_scan()
    source.intake.on_change = fail
    with pytest.raises(RuntimeError):
        source.intake.serve(replace(OTHER, aliases=("www.example",)), STAMP)
    source.intake.on_change = lambda _: None
    source.intake.serve(replace(SPEC, aliases=("www.example",)), STAMP)
    assert source.world.governor.vassals["a.example"].spec.taken_aliases == ("www.example",)


def test_each_alias_that_an_ini_loses_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    source = Source()
    source.intake.serve(replace(SPEC, aliases=("b.example", "c.example")), STAMP)
    third = replace(OTHER, domain="c.example", ini="c.example.ini", socket="/s/c.example/socket")
    for spec in (OTHER, third):
        source.intake.serve(spec, STAMP)
        assert source.intake.unserved() == ["a.example.ini"]
        source.intake.serve(replace(SPEC, aliases=("b.example", "c.example")), STAMP)
    assert [message for message in caplog.messages if "without" in message] == [
        f"a.example.ini is served without its alias {alias}, which {alias}.ini has"
        for alias in ("b.example", "c.example")
    ]


def test_a_host_comes_when_its_holder_has_a_socket_again() -> None:
    source = Source()
    source.intake.serve(replace(SPEC, aliases=("b.example",)), STAMP)
    source.world.listener.in_place = False
    source.world.listeners.problem = "cannot bind it"
    source.world.governor.restore_listeners(source.world.governor.vassals)
    source.intake.serve(OTHER, STAMP)
    assert source.reason("b.example") is RefusalReason.CONFLICT
    assert source.intake.unserved() == ["b.example.ini"], "it is retried"
    source.world.listeners.problem = None
    source.world.governor.restore_listeners(source.world.governor.vassals)
    source.intake.serve(OTHER, STAMP)
    vassals = source.world.governor.vassals
    assert vassals["b.example"].spec == OTHER
    assert vassals["a.example"].spec.aliases == ()


PORT = "127.0.0.1:8080"
MALLORY, ALICE = Identity(1001, 1001, "mallory"), Identity(1002, 1002, "alice")
FIRST = replace(OTHER, identity=MALLORY, foreign_sockets=(PORT,))
SECOND = replace(
    SPEC, domain="c.example", ini="c.example.ini", socket="/s/c.example/socket", identity=ALICE,
    foreign_sockets=(PORT,),
)  # fmt: skip


@pytest.mark.parametrize(
    ("second", "is_good"),
    [
        (replace(SECOND, identity=None), False),
        (SECOND, True),
        (replace(SECOND, identity=Identity(0, 0, "root")), False),
    ],
    ids=["of the daemon's user", "has served before", "of root"],
)
async def test_a_socket_goes_to_the_ini_with_the_better_right(second: Spec, is_good: bool) -> None:
    source = Source()
    source.intake.serve(FIRST, STAMP)
    source.intake.serve(second, STAMP, is_good=is_good)
    vassals = source.world.governor.vassals
    assert vassals["c.example"].spec == second
    assert vassals.get("b.example") is None
    await asyncio.sleep(0)
    assert source.retried == [["c.example.ini", "b.example.ini"]]
    source.intake.serve(FIRST, STAMP)
    assert source.reason("b.example") is RefusalReason.CONFLICT
    assert vassals["c.example"].spec == second


async def test_a_running_app_ends_before_another_gets_its_socket() -> None:
    source = Source(replace(SPEC, identity=MALLORY, foreign_sockets=(PORT,)))
    process = source.world.run()
    source.intake.serve(replace(SECOND, identity=None), STAMP)
    assert source.reason("c.example") is RefusalReason.CONFLICT
    process.exits("exited with status 0")
    await eventually_async(lambda: source.retried[-1:] == [["c.example.ini", "a.example.ini"]])


def test_an_ini_that_is_not_served_takes_nothing() -> None:
    source = Source()
    source.intake.serve(FIRST, STAMP)
    rooted = replace(SPEC, foreign_sockets=("127.0.0.1:9000",))
    source.intake.serve(rooted, STAMP)
    greedy = replace(SECOND, identity=None, foreign_sockets=(PORT, "127.0.0.1:9000"))
    source.intake.serve(greedy, STAMP)
    assert source.reason("c.example") is RefusalReason.CONFLICT
    assert source.world.governor.vassals["b.example"].spec == FIRST


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
    assert f"kill {process.pid}" in source.world.actions
    assert source.world.listener.is_shut
    for spec in (theirs, SPEC):
        source.intake.serve(spec, STAMP)
        assert vassal.state is State.REMOVED, "nobody gets it before it is gone"
    assert not source.intake.refused
    process.exits("exited with status 0")
    await eventually_async(lambda: source.retried == [["a.example.ini"]])
    source.intake.serve(theirs, STAMP)
    anew = source.world.governor.vassals["a.example"]
    assert anew.spec == theirs
    assert anew.listener is not vassal.listener


async def test_processes_that_never_end_keep_no_site(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "PATIENCE_SECONDS", 0.0)
    source = Source(replace(SPEC, identity=MALLORY))
    process = source.world.run()
    theirs = replace(SPEC, identity=ALICE)
    source.intake.serve(theirs, STAMP)
    await eventually_async(lambda: source.retried == [["a.example.ini"]])
    source.intake.serve(theirs, STAMP)
    anew = source.world.governor.vassals["a.example"]
    assert anew.spec == theirs
    process.exits("killed by SIGKILL")
    assert source.world.governor.vassals["a.example"] is anew
    assert anew.state is State.PARKED


@pytest.mark.parametrize(
    "now",
    [Identity(1001, 1001, None), Identity(1001, 1002, "mallory"), Identity(1001, 1001, "m2")],
    ids=["without a name", "another group", "another name"],
)
async def test_the_same_user_by_another_name_stops_gracefully(now: Identity) -> None:
    source = Source(replace(SPEC, identity=MALLORY))
    process = source.world.run()
    theirs = replace(SPEC, identity=now)
    for _ in range(2):
        source.intake.serve(theirs, STAMP)
        assert source.world.governor.vassals["a.example"].state is State.REMOVED
        assert f"kill {process.pid}" not in source.world.actions
        assert f"stop {process.pid}" in source.world.actions
    process.exits("exited with status 0")
    await eventually_async(lambda: source.retried == [["a.example.ini"]])
    source.intake.serve(theirs, STAMP)
    assert source.world.governor.vassals["a.example"].spec == theirs


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
    source.intake.serve(replace(SPEC, foreign_sockets=(PORT,)), STAMP)
    source.intake.serve(OTHER, STAMP)
    source.intake.serve(replace(OTHER, foreign_sockets=(PORT,)), STAMP)
    vassal = source.world.governor.vassals["b.example"]
    assert vassal.spec == OTHER
    assert vassal.ini_error
    assert f"claims the socket {PORT}" in vassal.ini_error
    assert source.intake.unserved() == ["b.example.ini"]


def test_nothing_is_admitted_once_the_daemon_stops() -> None:
    source = Source()
    source.intake.close()
    source.intake.serve(OTHER, STAMP)
    assert source.world.governor.vassals.get("b.example") is None
