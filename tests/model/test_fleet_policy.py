"""What a balancer's agent changes by itself: nothing, unless it is told to, and late."""

from dataclasses import replace
from fractions import Fraction

import pytest

from emperor.model.fleet_policy import STAYED_SECONDS, Attendance, Policy, due, next_look
from emperor.model.member import Capacity, Member
from emperor.model.slot_table import SlotTable, weights_in, with_weights, without
from emperor.model.slots import stretched

A, B, C, D, E = (f"192.0.2.{number}" for number in range(11, 16))
TABLE = SlotTable(5, stretched([A, B, C], 240), {})
HOUR = Policy(move_after=3600.0)
TAKES = Policy(take_in=True)


def members(*addresses: str) -> dict[str, Member]:
    size = Capacity(4, 8 << 30, 0)
    return {each: Member(each, f"m-{each}", Fraction(1), size, "1", 0) for each in addresses}


def seen(*times: tuple[float, dict[str, Member]]) -> Attendance:
    attendance = Attendance()
    for now, up in times:
        attendance.note(up.values(), TABLE, now)
    return attendance


def test_a_backend_that_is_down_keeps_its_slots() -> None:
    up = members(A, B)
    attendance = seen((0.0, up))
    assert due(Policy(), TABLE, up, attendance, 1e9) is None
    assert next_look(Policy(), TABLE, up, attendance, 1e9) is None
    assert attendance.down_for(C, 100.0) == 100.0


def test_after_the_time_its_slots_go_to_the_others_evenly() -> None:
    up = members(A, B)
    attendance = seen((0.0, members(A, B, C)), (10.0, up))
    assert due(HOUR, TABLE, up, attendance, 3609.0) is None
    assert next_look(HOUR, TABLE, up, attendance, 3609.0) == pytest.approx(1.0)
    step = due(HOUR, TABLE, up, attendance, 3610.0)
    assert step is not None
    assert step.table is not None
    assert (step.removed, set(step.table.slots)) == ((C,), {A, B})
    assert abs(step.table.slots.count(A) - step.table.slots.count(B)) <= 1


def test_a_backend_that_came_back_is_down_anew() -> None:
    up, all_up = members(A, B), members(A, B, C)
    attendance = seen((0.0, up), (3000.0, all_up), (3001.0, up))
    assert due(HOUR, TABLE, up, attendance, 3700.0) is None


def test_time_out_of_sight_does_not_count() -> None:
    up = members(A, B)
    attendance = seen((0.0, up))
    attendance.forget()
    attendance.note(up.values(), TABLE, 5000.0)
    assert due(HOUR, TABLE, up, attendance, 5001.0) is None


def test_half_of_the_machines_down_moves_nothing() -> None:
    up = members(A)
    step = due(HOUR, TABLE, up, seen((0.0, up)), 4000.0)
    assert step is not None
    assert step.table is None
    assert "half or more" in step.why


def test_a_new_backend_must_stay_for_a_while() -> None:
    up = members(A, B, C, D)
    attendance = seen((0.0, members(A, B, C)), (10.0, up))
    assert due(TAKES, TABLE, up, attendance, 10.0 + STAYED_SECONDS - 1) is None
    step = due(TAKES, TABLE, up, attendance, 10.0 + STAYED_SECONDS)
    assert step is not None
    assert step.table is not None
    assert step.table.slots.count(D) == 60
    assert due(Policy(), TABLE, up, attendance, 1e9) is None


def test_what_an_operator_has_removed_is_not_taken_in_again() -> None:
    up = members(A, B, C)
    table = without(TABLE, [C])
    attendance = Attendance()
    attendance.note(up.values(), table, 0.0)
    assert due(TAKES, table, up, attendance, 1e6) is None
    back = with_weights(table, {A: Fraction(1), B: Fraction(1), C: Fraction(1)})
    assert back.removed == ()


@pytest.mark.parametrize(
    ("removed", "registered"),
    [
        ("[2001:db8::3]", "[2001:DB8:0::3]"),
        ("[2001:db8::3]:80", "[2001:DB8::3]:080"),
        ("192.0.2.19", "[::ffff:c000:213]"),
    ],
)
def test_no_other_spelling_undoes_a_removal(removed: str, registered: str) -> None:
    port = ":80" if removed.endswith(":80") else ""
    table = SlotTable(5, stretched([f"{A}{port}", removed, f"{B}{port}"], 240), {})
    table = without(table, [removed])
    attendance, up = Attendance(), members(registered)
    attendance.note(up.values(), table, 0.0)
    assert due(TAKES, table, up, attendance, 1e6) is None
    back = with_weights(table, {**weights_in(table), registered: Fraction(1)})
    assert back.removed == ()


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.8.0.1", "[::1]", "[::ffff:7f00:1]", "0.0.0.0", "[::]"]
)
def test_the_balancer_itself_is_not_taken_in(address: str) -> None:
    up = members(A, B, C, address)
    step = due(TAKES, TABLE, up, seen((0.0, up)), 100.0)
    assert step is not None
    assert step.table is None
    assert "itself" in step.why
    assert step.added == (address,)


def test_a_weight_for_more_than_half_of_the_slots_is_refused() -> None:
    up = members(A, B, C, D)
    up[D] = replace(up[D], weight=Fraction(1000))
    step = due(TAKES, TABLE, up, seen((0.0, up)), 100.0)
    assert step is not None
    assert step.table is None
    assert "more than half" in step.why
    assert f"fleet add {D}=1000" in step.why
    up[D] = replace(up[D], weight=Fraction(3))
    step = due(TAKES, TABLE, up, seen((0.0, up)), 100.0)
    assert step is not None
    assert step.table is not None
    assert step.table.slots.count(D) == 120


def test_two_together_take_no_more_than_half_of_the_slots() -> None:
    up = members(A, B, C, D, E)
    up |= {each: replace(up[each], weight=Fraction(3)) for each in (D, E)}
    step = due(TAKES, TABLE, up, seen((0.0, up)), 100.0)
    assert step is not None
    assert step.table is not None
    assert step.added == (D,)


def test_many_odd_backends_keep_no_good_one_out() -> None:
    up = members(A, B, C, *(f"127.0.0.{number}" for number in range(1, 40)))
    heavy = members(*(f"198.51.100.{number}" for number in range(1, 40)))
    up |= {each: replace(one, weight=Fraction(4)) for each, one in heavy.items()}
    up |= members(D)
    step = due(TAKES, TABLE, up, seen((0.0, up)), 100.0)
    assert step is not None
    assert step.table is not None
    assert step.added == (D,)


def test_what_a_policy_has_moved_comes_back() -> None:
    up = members(A, B)
    attendance = seen((0.0, members(A, B, C)), (10.0, up))
    step = due(replace(HOUR, take_in=True), TABLE, up, attendance, 4000.0)
    assert step is not None
    assert step.table is not None
    back = members(A, B, C)
    attendance.note(back.values(), step.table, 4000.0)
    again = due(TAKES, step.table, back, attendance, 4000.0 + STAYED_SECONDS)
    assert again is not None
    assert again.added == (C,)


def test_another_machine_at_the_address_begins_anew() -> None:
    up = members(A, B, C, D)
    other = {**up, D: replace(up[D], machine="another")}
    attendance = seen((0.0, up), (20.0, other))
    assert due(TAKES, TABLE, other, attendance, 40.0) is None


def test_a_backend_that_drains_is_not_taken_in() -> None:
    up = members(A, B, C, D)
    up[D] = replace(up[D], drains=True)
    assert due(TAKES, TABLE, up, seen((0.0, up)), 100.0) is None


def test_a_weight_counts_when_a_backend_is_taken_in() -> None:
    up = members(A, B, C, D)
    up[D] = replace(up[D], weight=Fraction(2))
    step = due(TAKES, TABLE, up, seen((0.0, up)), 100.0)
    assert step is not None
    assert step.table is not None
    assert step.table.slots.count(D) == 96
    assert step.table.weights == {D: Fraction(2)}


def test_an_address_that_does_not_fit_is_not_taken_in() -> None:
    up = members(A, B, C, f"{D}:8080")
    step = due(TAKES, TABLE, up, seen((0.0, up)), 100.0)
    assert step is not None
    assert step.table is None
    assert "has none" in step.why


def test_an_address_that_does_not_fit_keeps_no_change_back() -> None:
    both = Policy(move_after=3600.0, take_in=True)
    up = members(A, B, f"{D}:8080")
    attendance = seen((0.0, up))
    step = due(both, TABLE, up, attendance, 3600.0)
    assert step is not None
    assert step.table is not None
    assert (step.added, step.removed) == ((), (C,))
    up = members(A, B, C, f"{D}:8080", E)
    step = due(both, TABLE, up, seen((0.0, up)), 3600.0)
    assert step is not None
    assert step.table is not None
    assert (step.added, set(step.table.slots)) == ((E,), {A, B, C, E})


def test_a_fleet_of_one_takes_in_two_one_after_the_other() -> None:
    table = SlotTable(5, stretched([A], 240), {})
    up = members(A, B, C)
    step = due(TAKES, table, up, seen((0.0, up)), 100.0)
    assert step is not None
    assert step.table is not None
    assert set(step.table.slots) == {A, B}
