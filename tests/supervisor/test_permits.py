"""An app boots when this machine of a fleet may run it, and stops when it may not."""

from collections.abc import Collection
from dataclasses import replace

from emperor.model.lifecycle import Event
from emperor.model.snapshot import ProcessRef
from emperor.model.spec import Once, Spec
from emperor.supervisor.permission import GovernorPermission
from emperor.supervisor.records import OrderOutcome, OrderStatus
from tests.supervisor.world import SPEC, World

DOMAIN = SPEC.domain


class FakePermits:
    """Permits nothing until it is told."""

    def __init__(self) -> None:
        self.may = False
        self.asked = 0
        self.processes = 0
        self.waits = False
        self.reason: str | None = None

    def has(self, _spec: Spec) -> bool:
        self.asked += 1
        return self.may

    def settled(self, _spec: Spec, processes: Collection[ProcessRef], *, waits: bool) -> None:
        self.processes, self.waits = len(processes), waits

    def why_not(self, _domain: str) -> str | None:
        return self.reason

    def turned_away(self, _domain: str) -> None:
        raise AssertionError


class Fleet(World):
    """A machine of a fleet."""

    def __init__(self, idle: int = 93600) -> None:
        self.permits = self.fake = FakePermits()
        super().__init__(replace(SPEC, once=Once.STRICT, idle=idle))

    @property
    def permission(self) -> GovernorPermission:
        return GovernorPermission(self.governor)

    def allow(self) -> None:
        """This machine may run the app from now on."""
        self.fake.may = True
        self.permission.permit(DOMAIN)


def test_an_app_waits_until_it_may_run_here() -> None:
    fleet = Fleet()
    fleet.hit()
    fleet.hit()
    assert (fleet.state, fleet.launcher.started, fleet.fake.waits) == ("starting", [], True)
    fleet.allow()
    fleet.launcher.last.accepts()
    assert (fleet.state, fleet.fake.processes) == ("running", 1)


def test_an_app_that_may_not_run_here_rests_until_somebody_asks() -> None:
    fleet = Fleet()
    fleet.hit()
    fleet.permission.forbid(DOMAIN, "it runs on 192.0.2.2")
    assert (fleet.state, fleet.launcher.started, fleet.fake.waits) == ("parked", [], False)
    fleet.allow()
    assert fleet.state == "parked"
    fleet.hit()
    assert len(fleet.launcher.started) == 1


def test_a_running_app_is_stopped_where_it_may_not_run() -> None:
    fleet = Fleet()
    fleet.fake.may = True
    process = fleet.run()
    fleet.permission.forbid(DOMAIN, "its lease has ended")
    assert (fleet.state, fleet.fake.processes) == ("stopping", 1)
    process.exits()
    assert (fleet.state, fleet.fake.processes) == ("parked", 0)
    assert fleet.vassal.last_stop and fleet.vassal.last_stop.why == "its lease has ended"


def test_an_app_that_never_sleeps_is_back_when_it_may_be() -> None:
    fleet = Fleet(idle=0)
    assert fleet.fake.asked == 1
    fleet.permission.forbid(DOMAIN, "it runs on 192.0.2.2")
    assert fleet.state == "parked"
    fleet.fake.may = True
    fleet.permission.want_again(DOMAIN, "it may run on this machine again")
    fleet.launcher.last.accepts()
    assert fleet.state == "running"
    Fleet().permission.want_again("unknown.example", "")


def test_it_is_known_when_somebody_wanted_an_app() -> None:
    fleet = Fleet()
    assert fleet.permission.since_visitor(DOMAIN) is None
    assert fleet.permission.since_visitor("unknown.example") is None
    fleet.hit()
    fleet.clock.advance(40.0)
    assert fleet.permission.since_visitor(DOMAIN) == 40.0


def test_an_order_to_start_tells_why_the_app_does_not() -> None:
    fleet = Fleet()
    outcome = fleet.governor.order(fleet.vassal, Event.START, "emperorctl start")
    fleet.permission.forbid(DOMAIN, "it runs on 192.0.2.2")
    assert outcome.result(0) == OrderOutcome(OrderStatus.FAILED, "it runs on 192.0.2.2")


def test_a_running_app_of_an_earlier_daemon_is_told_of() -> None:
    fleet = Fleet()
    fleet.fake.may = True
    fleet.run()
    fleet.fake.processes = 0
    fleet.crash()
    assert (fleet.state, fleet.fake.processes) == ("running", 1)
