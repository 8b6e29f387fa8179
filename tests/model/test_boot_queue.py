"""The line of those that wait to boot: its bounds, its order, and that nobody starves in it."""

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

from emperor.model.boot_queue import FAIR_TURN, BootQueue, Presence, Rank
from emperor.model.policy import Use, least_missed


def full(waiting: list[tuple[str, Rank]]) -> BootQueue[str]:
    """One place, which is taken, and a line."""
    queue: BootQueue[str] = BootQueue(1, 0)
    assert queue.ask("taken", Rank.VISITOR)
    queue.report("taken", Presence.BOOTING)
    for who, rank in waiting:
        assert not queue.ask(who, rank)
    return queue


def turns(queue: BootQueue[str], before: str = "taken") -> list[str]:
    """Who gets a turn, in this order, when each boot ends in time."""
    order = []
    queue.report(before, Presence.SERVING)
    while who := queue.pop_ready():
        assert queue.ask(who, Rank.SUCCESSOR), "it is its turn"
        queue.report(who, Presence.BOOTING)
        assert queue.pop_ready() is None
        order.append(who)
        queue.report(who, Presence.SERVING)
    return order


def test_a_free_place_is_given_at_once_and_the_next_has_to_wait() -> None:
    queue: BootQueue[str] = BootQueue(2, 0)
    for who in ("a", "b"):
        assert queue.ask(who, Rank.VISITOR)
        queue.report(who, Presence.BOOTING)
    assert not queue.ask("c", Rank.PERSON)
    assert queue.positions() == {"c": 1}
    assert queue.pop_ready() is None
    queue.report("a", Presence.ABSENT)
    assert queue.pop_ready() == "c"


def test_without_bounds_nobody_ever_waits() -> None:
    queue: BootQueue[int] = BootQueue(0, 0)
    for who in range(1000):
        assert queue.ask(who, Rank.SUCCESSOR)
        queue.report(who, Presence.BOOTING)


def test_people_go_before_others_and_successors_last() -> None:
    queue = full([("s", Rank.SUCCESSOR), ("v", Rank.VISITOR), ("p", Rank.PERSON)])
    assert turns(queue) == ["p", "v", "s"]


def test_of_one_rank_the_first_to_come_goes_first() -> None:
    queue = full([(who, Rank.VISITOR) for who in "dacb"])
    assert turns(queue) == list("dacb")


def test_one_that_a_person_asks_for_moves_up_and_never_back() -> None:
    queue = full([("a", Rank.VISITOR), ("b", Rank.VISITOR), ("c", Rank.SUCCESSOR)])
    queue.raise_rank("b", Rank.PERSON)
    queue.raise_rank("b", Rank.VISITOR)
    assert queue.positions() == {"b": 1, "a": 2, "c": 3}
    assert turns(queue) == ["b", "a", "c"]


def test_one_that_asks_again_keeps_its_place_in_the_line() -> None:
    queue = full([("a", Rank.VISITOR), ("b", Rank.VISITOR)])
    assert not queue.ask("a", Rank.VISITOR)
    assert queue.positions() == {"a": 1, "b": 2}


def test_one_that_leaves_makes_way() -> None:
    queue = full([("a", Rank.VISITOR), ("b", Rank.VISITOR)])
    queue.leave("a")
    queue.leave("nobody")
    assert turns(queue) == ["b"]


@given(st.lists(st.tuples(st.sampled_from("abcdefghijkl"), st.sampled_from(Rank))))
def test_the_line_tells_the_order_in_which_turns_come(waiting: list[tuple[str, Rank]]) -> None:
    queue = full(waiting)
    told = queue.positions()
    assert set(told) == {who for who, _ in waiting}
    assert turns(queue) == sorted(told, key=lambda who: told[who])


@given(st.integers(0, 12), st.sampled_from([Rank.VISITOR, Rank.SUCCESSOR]))
def test_nobody_starves_while_people_come_without_end(before: int, rank: Rank) -> None:
    queue = full([(f"before {number}", Rank.VISITOR) for number in range(before)])
    assert not queue.ask("waiter", rank)
    who = "taken"
    for turn in count(1):
        queue.ask(f"person {turn}", Rank.PERSON)
        queue.report(who, Presence.ABSENT)
        called = queue.pop_ready()
        assert called
        if called == "waiter":
            break
        queue.report(called, Presence.BOOTING)
        who = called
        assert turn <= FAIR_TURN * (before + 1)


def running(most: int, names: str) -> BootQueue[str]:
    """So many have room, and these use it."""
    queue: BootQueue[str] = BootQueue(2, most)
    for who in names:
        assert queue.ask(who, Rank.VISITOR)
        queue.report(who, Presence.SERVING)
    return queue


def test_a_newcomer_waits_until_an_evicted_app_is_gone() -> None:
    queue = running(2, "ab")
    assert not queue.ask("c", Rank.PERSON)
    assert queue.short_of_room() == ["c"]
    assert sorted(queue.having(Presence.SERVING)) == ["a", "b"]
    queue.report("a", Presence.LEAVING)
    assert queue.short_of_room() == [], "somebody leaves for it already"
    assert queue.pop_ready() is None
    queue.report("a", Presence.ABSENT)
    assert queue.pop_ready() == "c"


def test_nobody_makes_room_for_one_who_could_not_boot_yet() -> None:
    queue = running(4, "ab")
    for who in "cd":
        assert queue.ask(who, Rank.VISITOR)
        queue.report(who, Presence.BOOTING)
    queue.ask("e", Rank.VISITOR)
    assert queue.short_of_room() == []
    queue.report("c", Presence.SERVING)
    assert queue.short_of_room() == ["e"]


def test_a_successor_needs_a_place_but_no_room() -> None:
    queue = running(1, "a")
    assert queue.ask("a", Rank.SUCCESSOR)


def test_a_slow_boot_loses_its_place_and_keeps_its_room() -> None:
    queue = running(3, "a")
    for who in "bc":
        assert queue.ask(who, Rank.VISITOR)
        queue.report(who, Presence.BOOTING)
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


class Doorway(RuleBasedStateMachine):
    """Boots that begin and end in any way, under any bounds."""

    @initialize(most_starting=st.integers(0, 3), most_running=st.integers(0, 4))
    def open(self, most_starting: int, most_running: int) -> None:
        self.queue: BootQueue[str] = BootQueue(most_starting, most_running)
        self.most_starting = most_starting or 1000
        self.most_running = most_running or 1000
        self.there: dict[str, Presence] = {}
        self.waiting: set[str] = set()

    @property
    def anybody(self) -> bool:
        return bool(self.there)

    def boot(self, who: str) -> None:
        self.waiting.discard(who)
        self.note(who, Presence.BOOTING)

    def note(self, who: str, presence: Presence) -> None:
        self.there[who] = presence
        if presence is Presence.ABSENT:
            del self.there[who]
        self.queue.report(who, presence)
        self.serve()

    def serve(self) -> None:
        while who := self.queue.pop_ready():
            assert who in self.waiting
            self.boot(who)

    @rule(who=st.sampled_from("abcdefgh"), rank=st.sampled_from(Rank))
    def somebody_wants_one(self, who: str, rank: Rank) -> None:
        if self.there.get(who) is Presence.BOOTING:
            return
        if self.queue.ask(who, rank):
            self.boot(who)
        else:
            self.waiting.add(who)

    @precondition(lambda self: self.anybody)
    @rule(data=st.data(), presence=st.sampled_from(Presence))
    def something_becomes_of_one(self, data: st.DataObject, presence: Presence) -> None:
        who = data.draw(st.sampled_from(sorted(self.there)))
        if presence is not Presence.BOOTING:
            self.note(who, presence)

    @rule(who=st.sampled_from("abcdefgh"))
    def one_is_not_wanted_any_more(self, who: str) -> None:
        self.waiting.discard(who)
        self.queue.leave(who)
        self.serve()

    @invariant()
    def the_bounds_hold(self) -> None:
        states = list(self.there.values())
        assert states.count(Presence.BOOTING) <= self.most_starting
        assert len(states) <= self.most_running

    @invariant()
    def exactly_those_stand_in_line_who_should(self) -> None:
        assert set(self.queue.positions()) == self.waiting

    @invariant()
    def no_place_is_lost(self) -> None:
        if not self.waiting:
            return
        booting = list(self.there.values()).count(Presence.BOOTING)
        if booting < self.most_starting:
            assert len(self.there) == self.most_running, "somebody waits for nothing"

    def teardown(self) -> None:
        for who in tuple(self.there):
            if who in self.there:
                self.note(who, Presence.ABSENT)
        while self.there:
            self.note(next(iter(self.there)), Presence.ABSENT)
        assert not self.waiting, "each gets its turn in the end"


Doorway.TestCase.settings = hypothesis_settings(
    max_examples=200, stateful_step_count=40, deadline=None
)
TestDoorway = Doorway.TestCase
