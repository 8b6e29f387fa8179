"""The queue of apps that wait to boot: its limits and its order; and no app waits for ever."""

from itertools import count

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from emperor.model.boot_queue import FAIR_TURN, BootQueue, Presence, Rank, Share, Tenancy
from emperor.model.policy import Use, least_missed


def full(waiting: list[tuple[str, Rank]]) -> BootQueue[str]:
    """A queue with one place, which is taken, and waiting apps."""
    queue: BootQueue[str] = BootQueue(1, 0)
    assert queue.ask("taken", Rank.VISITOR)
    queue.report("taken", Presence.BOOTING)
    for app, rank in waiting:
        assert not queue.ask(app, rank)
    return queue


def turns(queue: BootQueue[str], before: str = "taken") -> list[str]:
    """The apps in the order of their turns, when each boot ends in time."""
    order = []
    queue.report(before, Presence.SERVING)
    while app := queue.pop_ready():
        assert queue.ask(app, Rank.SUCCESSOR), "it is its turn"
        queue.report(app, Presence.BOOTING)
        assert queue.pop_ready() is None
        order.append(app)
        queue.report(app, Presence.SERVING)
    return order


def test_a_free_place_is_given_at_once_and_the_next_has_to_wait() -> None:
    queue: BootQueue[str] = BootQueue(2, 0)
    for app in ("a", "b"):
        assert queue.ask(app, Rank.VISITOR)
        queue.report(app, Presence.BOOTING)
    assert not queue.ask("c", Rank.PERSON)
    assert queue.positions() == {"c": 1}
    assert queue.pop_ready() is None
    queue.report("a", Presence.ABSENT)
    assert queue.pop_ready() == "c"


def test_without_limits_no_app_waits() -> None:
    queue: BootQueue[int] = BootQueue(0, 0)
    for app in range(1000):
        assert queue.ask(app, Rank.SUCCESSOR)
        queue.report(app, Presence.BOOTING)


def test_people_go_before_others_and_successors_last() -> None:
    queue = full([("s", Rank.SUCCESSOR), ("v", Rank.VISITOR), ("p", Rank.PERSON)])
    assert turns(queue) == ["p", "v", "s"]


def test_apps_of_one_rank_boot_in_order_of_arrival() -> None:
    queue = full([(app, Rank.VISITOR) for app in "dacb"])
    assert turns(queue) == list("dacb")


def test_a_request_from_a_person_raises_the_rank_for_good() -> None:
    queue = full([("a", Rank.VISITOR), ("b", Rank.VISITOR), ("c", Rank.SUCCESSOR)])
    queue.raise_rank("b", Rank.PERSON)
    queue.raise_rank("b", Rank.VISITOR)
    assert queue.positions() == {"b": 1, "a": 2, "c": 3}
    assert turns(queue) == ["b", "a", "c"]


def test_an_app_that_asks_again_keeps_its_position() -> None:
    queue = full([("a", Rank.VISITOR), ("b", Rank.VISITOR)])
    assert not queue.ask("a", Rank.VISITOR)
    assert queue.positions() == {"a": 1, "b": 2}


def test_an_app_can_leave_the_queue() -> None:
    queue = full([("a", Rank.VISITOR), ("b", Rank.VISITOR)])
    queue.leave("a")
    queue.leave("nobody")
    assert turns(queue) == ["b"]


@given(st.lists(st.tuples(st.sampled_from("abcdefghijkl"), st.sampled_from(Rank))))
def test_positions_are_the_order_of_the_boots(waiting: list[tuple[str, Rank]]) -> None:
    queue = full(waiting)
    positions = queue.positions()
    assert set(positions) == {app for app, _ in waiting}
    assert turns(queue) == sorted(positions, key=lambda app: positions[app])


@given(st.integers(0, 12), st.sampled_from([Rank.VISITOR, Rank.SUCCESSOR]))
def test_no_app_starves_while_people_keep_coming(before: int, rank: Rank) -> None:
    queue = full([(f"before {number}", Rank.VISITOR) for number in range(before)])
    assert not queue.ask("waiter", rank)
    app = "taken"
    for turn in count(1):
        queue.ask(f"person {turn}", Rank.PERSON)
        queue.report(app, Presence.ABSENT)
        ready = queue.pop_ready()
        assert ready
        if ready == "waiter":
            break
        queue.report(ready, Presence.BOOTING)
        app = ready
        assert turn <= FAIR_TURN * (before + 1)


def shared(most_starting: int, *, tenants: int = 2, most_running: int = 0) -> BootQueue[str]:
    """A queue for the apps of tenants: the first letter of an app names its tenant."""
    return BootQueue(most_starting, most_running, Tenancy(lambda app: app[0], lambda: tenants > 1))


def booting(queue: BootQueue[str], *apps: str, rank: Rank = Rank.PERSON) -> None:
    """These apps ask, and boot where they may."""
    for app in apps:
        if queue.ask(app, rank):
            queue.report(app, Presence.BOOTING)


def test_a_tenant_leaves_a_place_for_the_first_app_of_another() -> None:
    queue = shared(4)
    booting(queue, *(f"m{number}" for number in range(24)))
    assert len(queue.having(Presence.BOOTING)) == 3
    assert queue.share("m9") == Share(taken=3, most=3)
    assert queue.share("a1") == Share(taken=0, most=3)
    assert queue.pop_ready() is None
    assert queue.ask("a1", Rank.SUCCESSOR)


def test_a_lone_tenant_has_all_places() -> None:
    queue = shared(4, tenants=1)
    booting(queue, *(f"m{number}" for number in range(24)))
    assert len(queue.having(Presence.BOOTING)) == 4
    assert queue.share("m9") == Share(taken=4, most=4)


def test_the_only_place_is_shared_in_turn() -> None:
    queue = shared(1)
    booting(queue, "m0", "m1", "m2", "a1", "b1", "a2", "m3")
    assert queue.positions() == {"a1": 1, "b1": 2, "m1": 3, "a2": 4, "m2": 5, "m3": 6}
    assert turns(queue, "m0") == ["a1", "b1", "m1", "a2", "m2", "m3"]


def test_looking_like_a_person_gains_nothing_on_other_tenants() -> None:
    queue = shared(1)
    booting(queue, *(f"m{number}" for number in range(9)))
    booting(queue, "a1", "a2", rank=Rank.VISITOR)
    assert turns(queue, "m0")[:4] == ["a1", "m1", "a2", "m2"]


def test_apps_with_visitors_go_before_successors_of_all_tenants() -> None:
    queue = shared(1)
    booting(queue, "m0", "m1", "b1", rank=Rank.SUCCESSOR)
    booting(queue, "a1")
    assert queue.positions() == {"a1": 1, "b1": 2, "m1": 3}


def test_no_app_is_evicted_for_an_app_beyond_its_tenants_share() -> None:
    queue = shared(3, most_running=4)
    for app in ("a1", "a2"):
        queue.report(app, Presence.SERVING)
    booting(queue, "m0", "m1", "m2", "m3")
    assert queue.having(Presence.BOOTING) == ["m0", "m1"]
    assert queue.short_of_room() == []
    queue.report("m0", Presence.SERVING)
    assert queue.short_of_room() == ["m2"]


def test_turns_begin_anew_when_nobody_waits() -> None:
    queue = shared(1)
    booting(queue, "a0", "m1", "a1")
    assert turns(queue, "a0") == ["m1", "a1"]
    booting(queue, "b0", "a1", "m1")
    assert queue.positions() == {"a1": 1, "m1": 2}


@given(
    st.lists(st.tuples(st.sampled_from("mab"), st.sampled_from(Rank)), max_size=30),
    st.integers(1, 4),
)
def test_a_tenant_waits_for_one_app_of_each_other(
    arrivals: list[tuple[str, Rank]], places: int
) -> None:
    queue = shared(places)
    for number, (tenant, rank) in enumerate(arrivals):
        booting(queue, f"{tenant}{number}", rank=rank)
    booting(queue, *(f"m{number}" for number in range(100, 124)))
    booting(queue, "z1", rank=Rank.VISITOR)
    before = 0
    while "z1" in queue.positions():
        app = queue.pop_ready()
        if app is None:
            queue.report(queue.having(Presence.BOOTING)[0], Presence.SERVING)
        else:
            queue.report(app, Presence.BOOTING)
            before += app != "z1"
    assert before <= 3 + 1, "one for each tenant, and a successor at every fourth turn"


def running(most: int, names: str) -> BootQueue[str]:
    """A queue where `most` apps may run, and these apps run."""
    queue: BootQueue[str] = BootQueue(2, most)
    for app in names:
        assert queue.ask(app, Rank.VISITOR)
        queue.report(app, Presence.SERVING)
    return queue


def test_a_newcomer_waits_until_an_evicted_app_is_gone() -> None:
    queue = running(2, "ab")
    assert not queue.ask("c", Rank.PERSON)
    assert queue.short_of_room() == ["c"]
    assert sorted(queue.having(Presence.SERVING)) == ["a", "b"]
    queue.report("a", Presence.LEAVING)
    assert queue.short_of_room() == [], "an app leaves for it already"
    assert queue.pop_ready() is None
    queue.report("a", Presence.ABSENT)
    assert queue.pop_ready() == "c"


def test_no_app_is_evicted_for_an_app_without_a_place() -> None:
    queue = running(4, "ab")
    for app in "cd":
        assert queue.ask(app, Rank.VISITOR)
        queue.report(app, Presence.BOOTING)
    queue.ask("e", Rank.VISITOR)
    assert queue.short_of_room() == []
    queue.report("c", Presence.SERVING)
    assert queue.short_of_room() == ["e"]


def test_a_successor_needs_a_place_but_no_room() -> None:
    queue = running(1, "a")
    assert queue.ask("a", Rank.SUCCESSOR)


def test_a_slow_boot_loses_its_place_and_keeps_its_room() -> None:
    queue = running(3, "a")
    for app in "bc":
        assert queue.ask(app, Rank.VISITOR)
        queue.report(app, Presence.BOOTING)
    assert not queue.ask("d", Rank.VISITOR)
    assert queue.short_of_room() == []
    queue.report("b", Presence.SLOW)
    assert queue.pop_ready() is None
    assert queue.short_of_room() == ["d"]


def test_an_evicted_app_does_not_overtake_the_newcomer() -> None:
    queue = running(1, "a")
    queue.ask("b", Rank.VISITOR)
    queue.report("a", Presence.LEAVING)
    assert not queue.ask("a", Rank.VISITOR)
    assert queue.positions() == {"b": 1, "a": 2}


def test_the_longest_unused_app_is_evicted_first() -> None:
    uses = [
        Use(50.0, 0, True),
        Use(10.0, 0, True),
        Use(5.0, 3, True),
        Use(1.0, 0, False),
    ]
    assert [use.last for use in sorted(uses, key=least_missed)] == [10.0, 50.0, 5.0, 1.0]


class BootQueueMachine(RuleBasedStateMachine):
    """Boots that begin and end in any order, under any limits."""

    @initialize(
        most_starting=st.integers(0, 3), most_running=st.integers(0, 4), tenants=st.integers(1, 3)
    )
    def open(self, most_starting: int, most_running: int, tenants: int) -> None:
        self.tenants = tenants
        tenancy: Tenancy[str] = Tenancy(self.tenant, lambda: tenants > 1)
        self.queue: BootQueue[str] = BootQueue(most_starting, most_running, tenancy)
        self.most_starting = most_starting or 1000
        self.most_per_tenant = self.most_starting
        if tenants > 1 < self.most_starting < 1000:
            self.most_per_tenant -= 1
        self.most_running = most_running or 1000
        self.there: dict[str, Presence] = {}
        self.waiting: set[str] = set()

    def tenant(self, app: str) -> int:
        return ord(app) % self.tenants

    def booting(self, tenant: int | None = None) -> int:
        return sum(
            presence is Presence.BOOTING and tenant in (None, self.tenant(app))
            for app, presence in self.there.items()
        )

    @property
    def anybody(self) -> bool:
        return bool(self.there)

    def boot(self, app: str) -> None:
        self.waiting.discard(app)
        self.note(app, Presence.BOOTING)

    def note(self, app: str, presence: Presence) -> None:
        self.there[app] = presence
        if presence is Presence.ABSENT:
            del self.there[app]
        self.queue.report(app, presence)
        self.serve()

    def serve(self) -> None:
        while app := self.queue.pop_ready():
            assert app in self.waiting
            self.boot(app)

    @rule(app=st.sampled_from("abcdefgh"), rank=st.sampled_from(Rank))
    def an_app_is_wanted(self, app: str, rank: Rank) -> None:
        if self.there.get(app) is Presence.BOOTING:
            return
        if self.queue.ask(app, rank):
            self.boot(app)
        else:
            self.waiting.add(app)

    @precondition(lambda self: self.anybody)
    @rule(data=st.data(), presence=st.sampled_from(Presence))
    def an_app_changes(self, data: st.DataObject, presence: Presence) -> None:
        app = data.draw(st.sampled_from(sorted(self.there)))
        if presence is not Presence.BOOTING:
            self.note(app, presence)

    @rule(app=st.sampled_from("abcdefgh"))
    def an_app_is_no_longer_wanted(self, app: str) -> None:
        self.waiting.discard(app)
        self.queue.leave(app)
        self.serve()

    @invariant()
    def the_bounds_hold(self) -> None:
        assert self.booting() <= self.most_starting
        assert len(self.there) <= self.most_running
        for tenant in range(self.tenants):
            assert self.booting(tenant) <= self.most_per_tenant

    @invariant()
    def the_queue_holds_exactly_the_waiting_apps(self) -> None:
        assert set(self.queue.positions()) == self.waiting

    @invariant()
    def no_place_is_lost(self) -> None:
        if self.booting() < self.most_starting and len(self.there) < self.most_running:
            for tenant in map(self.tenant, self.waiting):
                assert self.booting(tenant) == self.most_per_tenant, "it waits, and could boot"

    def teardown(self) -> None:
        for app in tuple(self.there):
            if app in self.there:
                self.note(app, Presence.ABSENT)
        while self.there:
            self.note(next(iter(self.there)), Presence.ABSENT)
        assert not self.waiting, "every app gets its turn in the end"


BootQueueMachine.TestCase.settings = hypothesis_settings(
    max_examples=200, stateful_step_count=40, deadline=None
)
TestBootQueue = BootQueueMachine.TestCase
