"""Whose forks are refused early."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emperor.model.refused_forks import ForkingOn, Forks

GROUP = "uid-5/v-a.example/7"
SECONDS = 0.5
MANY, FEW = 5, 4


def after(*looks: tuple[int, bool], begun: ForkingOn | None = None) -> list[bool]:
    """Whether the forks of one group are refused early after each look: how many were refused until
    then, and whether it was full."""
    forking_on, found = begun or ForkingOn(), []
    for refused, is_full in looks:
        forking_on = forking_on.after(SECONDS, {GROUP: Forks(refused, is_full)})
        found.append(GROUP in forking_on.groups)
    return found


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        pytest.param([(90, True), (95, True), (100, True)], [False, False, True], id="much twice"),
        pytest.param([(0, True), (5, True), (5, True)], [False] * 3, id="much once"),
        pytest.param([(0, True), (4, True), (8, True)], [False] * 3, id="little"),
        pytest.param([(90, True), (90, True)], [False] * 2, id="before the first look"),
        pytest.param([(0, True), (9, True), (9, True), (18, True)], [False] * 4, id="in turns"),
        pytest.param([(0, True), (9, False), (18, True)], [False] * 3, id="has had room"),
        pytest.param(
            [(0, True), (9, True), (18, True), (18, True), (18, False), (18, True)],
            [False, False, True, True, False, False],
            id="until it has room",
        ),
    ],
)
def test_who_is_refused_much_at_two_looks_in_a_row(
    looks: Sequence[tuple[int, bool]], expected: Sequence[bool]
) -> None:
    assert after(*looks) == expected


def test_some_groups_at_a_time() -> None:
    groups = [f"{GROUP}{number}" for number in range(99)]
    forking_on = ForkingOn()
    for refused in (0, MANY, 2 * MANY):
        forking_on = forking_on.after(SECONDS, dict.fromkeys(groups, Forks(refused, True)))
    assert len(forking_on.groups) == 16
    assert forking_on.after(SECONDS, dict.fromkeys(groups, Forks(99, True))).groups == (
        forking_on.groups
    )


def test_a_group_that_is_gone_is_forgotten() -> None:
    held = ForkingOn(frozenset({GROUP}), {GROUP: 9}, {GROUP: 2})
    gone = held.after(SECONDS, {})
    assert (gone.groups, gone.refused, gone.looks) == (frozenset(), {}, {})


def test_the_programs_that_have_not_ended_count() -> None:
    groups = [f"{GROUP}{number}" for number in range(20)]
    begun = ForkingOn(frozenset(), dict.fromkeys(groups, 0), dict.fromkeys(groups, 2))
    forks = dict.fromkeys(groups, Forks(MANY, True))
    after_it = begun.after(SECONDS, forks, ending=groups[:10])
    assert len(after_it.groups) == 6 and after_it.groups.isdisjoint(groups[:10])
    assert not begun.after(SECONDS, forks, ending=groups[:19]).groups


def begins(tenants: Sequence[str], looks: int) -> int:
    """How often a program begins in so many looks at groups that have room as soon as one does, one
    group of each of these tenants."""
    forking_on, begun, refused = ForkingOn(), 0, 0
    for _ in range(looks):
        refused += MANY
        forks = {
            group: Forks(refused, is_full=group not in forking_on.groups)
            for group in (f"{tenant}/v-a.example/7" for tenant in tenants)
        }
        before, forking_on = forking_on, forking_on.after(SECONDS, forks)
        begun += len(forking_on.groups - before.groups)
    return begun


def test_who_has_room_again_and_again_begins_less_often() -> None:
    assert begins(["uid-5"], 126) <= 7, "after 2, 4, 8, … looks"
    assert begins(["uid-5"], 1000) < 25
    assert begins(["uid-5", "uid-6"], 126) == 2 * begins(["uid-5"], 126), "each for itself"


@given(st.lists(st.tuples(st.integers(0, FEW), st.booleans())))
def test_who_is_refused_little_is_never_refused_early(
    looks: Sequence[tuple[int, bool]],
) -> None:
    total, told = 0, []
    for refused, is_full in looks:
        total += refused
        told.append((total, is_full))
    assert not any(after(*told))


@given(st.lists(st.tuples(st.integers(0, 3 * MANY), st.booleans())))
def test_nobody_with_room_is_refused_early(looks: Sequence[tuple[int, bool]]) -> None:
    total, told = 0, []
    for refused, is_full in looks:
        total += refused
        told.append((total, is_full))
    assert not any(
        held for held, (_, is_full) in zip(after(*told), looks, strict=True) if not is_full
    )
