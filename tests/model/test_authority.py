"""Who may do what on control.sock: each cell of the table."""

import pytest

from emperor.model.authority import (
    NOBODY,
    SCOPE,
    Administrators,
    Caller,
    Operation,
    Peer,
    Scope,
    Verdict,
)

ALICE, MALLORY, EMPEROR = 1001, 1002, 990
ROOT = Caller(0, is_administrator=True)
TENANT = Caller(ALICE, is_administrator=False)

OF_ITS_OWN = {
    Scope.LIST: Verdict.ALLOWED,
    Scope.VASSAL: Verdict.ALLOWED,
    Scope.CLOSED_VASSAL: Verdict.FORBIDDEN,
    Scope.DAEMON: Verdict.FORBIDDEN,
}
OF_OTHERS = OF_ITS_OWN | {Scope.VASSAL: Verdict.HIDDEN, Scope.CLOSED_VASSAL: Verdict.HIDDEN}
LISTS = {"status", "activity", "events", "metrics", "stats"}
OF_VASSALS = {"detail", "history", "log", "start", "sleep", "restart", "restart-fresh", "reload"}
OF_CLOSED_VASSALS = {"maintenance-on", "maintenance-off"}
OF_THE_DAEMON = {"settings", "bases", "rescan", "upgrade", "drain", "undrain", "notify-test"}


def test_each_operation_has_a_scope() -> None:
    named = {scope: {each.value for each in SCOPE if SCOPE[each] is scope} for scope in Scope}
    assert named == {
        Scope.LIST: LISTS,
        Scope.VASSAL: OF_VASSALS,
        Scope.CLOSED_VASSAL: OF_CLOSED_VASSALS,
        Scope.DAEMON: OF_THE_DAEMON,
    }
    assert SCOPE.keys() == set(Operation)


@pytest.mark.parametrize("operation", Operation)
def test_every_cell_of_the_table(operation: Operation) -> None:
    scope = SCOPE[operation]
    for owner in (None, ALICE, MALLORY):
        assert ROOT.may(operation, owner) is Verdict.ALLOWED
    assert TENANT.may(operation, ALICE) is OF_ITS_OWN[scope]
    assert TENANT.may(operation, MALLORY) is OF_OTHERS[scope]
    assert TENANT.may(operation, None) is OF_OTHERS[scope], "the daemon's own user has it"


def test_a_tenant_sees_what_runs_as_it() -> None:
    assert [owner for owner in (None, 0, ALICE, MALLORY) if TENANT.sees(owner)] == [ALICE]
    assert all(ROOT.sees(owner) for owner in (None, 0, ALICE, MALLORY))


def test_a_user_that_the_kernel_cannot_name_owns_nothing() -> None:
    nobody = Caller(NOBODY, is_administrator=False)
    assert not nobody.sees(NOBODY)
    assert nobody.may(Operation.START, NOBODY) is Verdict.HIDDEN


@pytest.mark.parametrize(
    ("peer", "is_one"),
    [
        (Peer(0, 0), True),
        (Peer(0, 1001, frozenset({1001})), True),
        (Peer(ALICE, EMPEROR), True),
        (Peer(ALICE, ALICE, frozenset({4, EMPEROR})), True),
        (Peer(ALICE, ALICE, frozenset({4})), False),
        (Peer(ALICE, 0), False),
        (Peer(EMPEROR, ALICE), False),
        (Peer(2**32 - 1, 2**32 - 1), False),
    ],
)
def test_root_and_the_group_are_administrators(peer: Peer, is_one: bool) -> None:
    assert Administrators(frozenset({0}), EMPEROR).include(peer) is is_one


def test_without_the_group_there_is_root_alone() -> None:
    administrators = Administrators(frozenset({0}), None)
    assert administrators.include(Peer(0, 0))
    assert not administrators.include(Peer(ALICE, ALICE, frozenset({EMPEROR})))
