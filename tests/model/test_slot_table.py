"""The table of slots: its form, and which table balancers take after another one."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emperor.model import balancer_list
from emperor.model.registration import slot_of
from emperor.model.share import Elsewhere, Share
from emperor.model.slot_table import (
    MOST_SERIAL,
    BrokenTable,
    SlotTable,
    decoded,
    encoded,
    forced,
    moved,
    objection,
    share_of,
    weights_in,
    with_slot,
    with_weights,
)
from emperor.model.slots import stretched

A, B, C, D, E = (f"192.0.2.{number}" for number in range(11, 16))
TABLE = SlotTable(5, stretched([A, B, C, D], 4096), {D: Fraction(3, 2)}, (8080, 8443))
ADDRESSES = st.lists(st.ip_addresses(v=4).map(str), min_size=1, max_size=9, unique=True).filter(
    lambda addresses: "0.0.0.0" not in addresses
)
WEIGHTS = st.decimals("0.01", "9", places=2).map(Fraction)


@st.composite
def tables(draw: st.DrawFn) -> SlotTable:
    addresses = draw(ADDRESSES)
    slots = tuple(draw(st.lists(st.sampled_from(addresses), min_size=1, max_size=50)))
    weights = draw(st.dictionaries(st.sampled_from(slots), WEIGHTS.filter(lambda w: w != 1)))
    ports = draw(st.sampled_from([None, (80, 443), (8080, 8443)]))
    return SlotTable(draw(st.integers(1, MOST_SERIAL)), slots, weights, ports)


@given(tables())
def test_a_table_survives_its_form_as_bytes_and_as_a_list(table: SlotTable) -> None:
    assert decoded(encoded(table)) == table
    assert balancer_list.read(balancer_list.written(table)) == table


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (b"", "no table of this version"),
        (b'{"serial": 1, "backends": [], "slots": []}', "empty"),
        (b'{"serial": 9000000000000000, "backends": ["192.0.2.1"], "slots": [0]}', "is above"),
        (b'{"serial": 0, "backends": ["192.0.2.1"], "slots": [0]}', "begin at 1"),
        (b'{"serial": 1, "backends": ["192.0.2.1"], "slots": [1]}', "which? the table has not"),
        (b'{"serial": 1, "backends": ["192.0.2.1"], "slots": [-1]}', "the table has not"),
        (b'{"serial": 1, "backends": ["db.example"], "slots": [0]}', "neither an IPv4"),
        (b'{"serial": 1, "backends": ["0.0.0.0"], "slots": [0]}', "the machine itself"),
        (b'{"serial": 1, "backends": ["[::1]", "[0::1]"], "slots": [0, 1]}', "two spellings"),
        (b'{"serial": 1, "backends": ["1.2.3.4", "1.2.3.5:80"], "slots": [0, 1]}', "has none"),
        (b'{"serial": 1, "backends": ["1.2.3.4"], "slots": [0], "weights": {"1.2.3.4": "0"}}',
         "no weight"),
        (b'{"serial": 1, "backends": ["1.2.3.4"], "slots": [0], "weights": {"1.2.3.5": "2"}}',
         "a weight for '1.2.3.5', which is no backend of it"),
        (b'{"serial": 1, "backends": ["1.2.3.4"], "slots": [0], "weights": {"\\u001b[2J\\n": "2"}}',
         r"'\\x1b\[2J\\n', which is no backend of it"),
        (b'{"serial": 1, "backends": ["1.2.3.4"], "slots": [0], "removed": ["\\u001b[2J"]}',
         r"removed: '\\x1b\[2J' is neither"),
        (b'{"serial": 1, "backends": ["1.2.3.4"], "slots": [0], "ports": [80, 80]}', "its ports"),
        (b'{"serial": 1, "backends": ["1.2.3.4"], "slots": [' + b"0," * 65_536 + b"0]}",
         "65536 are allowed"),
    ],
)  # fmt: skip
def test_a_broken_table_is_not_taken(value: bytes, problem: str) -> None:
    with pytest.raises(BrokenTable, match=problem.removeprefix("which? ")):
        decoded(value)


def next_after(before: SlotTable, backends: list[str]) -> SlotTable:
    return with_weights(before, dict.fromkeys(backends, Fraction(1)))


def before(backends: list[str]) -> SlotTable:
    return SlotTable(5, stretched(backends, 240), {})


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ([A, B, C], [A, B, C, D], None),
        ([A, B, C], [A, B], None),
        ([A, B, C, D], [A, B, C, E], None),
        ([A], [A, B], None),
        ([A, B, C, D], [A, B], "2 of 4 backends are gone"),
        ([A, B], [A], "1 of 2 backends are gone"),
        ([A], [B], "1 of 1 backends are gone"),
        ([A, B], [A, B, C, D], "2 of 4 backends are new"),
    ],
)
def test_half_of_the_machines_at_once_makes_no_sense(
    old: list[str], new: list[str], why: str | None
) -> None:
    after = next_after(before(old), new)
    found = objection(after, before(old))
    assert found is None if why is None else why in str(found)
    assert objection(forced(after), before(old)) is None


def test_a_serial_only_rises_even_by_force() -> None:
    after = forced(next_after(before([A, B, C]), [A, B, C, D]))
    assert objection(after, after) is not None
    assert "serial 6 is in use" in str(objection(before([A, B, C]), after))


def test_no_table_ends_all_changes() -> None:
    last = forced(SlotTable(MOST_SERIAL, TABLE.slots, {}))
    assert "above 5 in use" in str(objection(last, TABLE))


def test_a_balancer_that_was_away_takes_what_was_forced() -> None:
    old = before([A, B, C, D])
    half = forced(next_after(old, [A, B]))
    later = next_after(half, [A, B, E])
    assert objection(later, old) is None
    assert objection(next_after(later, [E]), later) is not None


def test_another_number_of_slots_must_be_forced() -> None:
    old = before([A, B, C])
    more = SlotTable(6, stretched([A, B, C], 480), {})
    assert "480 slots instead of 240" in str(objection(more, old))
    assert objection(forced(more), old) is None


def test_a_new_backend_takes_its_share_and_nothing_else_moves() -> None:
    after = with_weights(TABLE, {**weights_in(TABLE), E: Fraction(2)})
    assert after.serial == 6
    assert {new for old, new in zip(TABLE.slots, after.slots, strict=True) if old != new} == {E}
    assert after.weights == {D: Fraction(3, 2), E: Fraction(2)}


def test_a_fifth_backend_moves_a_fifth_of_the_domains() -> None:
    four = SlotTable(1, stretched([A, B, C, D], 4096), {})
    five = with_weights(four, {**weights_in(four), E: Fraction(1)})
    hosts = [f"customer-{number}.apps.example.net" for number in range(20_000)]
    moves = sum(four.slots[slot_of(h, 4096)] != five.slots[slot_of(h, 4096)] for h in hosts)
    assert 0.19 < moves / len(hosts) < 0.21


def test_a_slot_is_moved_alone() -> None:
    after = with_slot(TABLE, 1, B)
    assert moved(TABLE.slots, after.slots) == 1
    assert (TABLE.slots[0], after.slots[0]) == (A, B)


@pytest.mark.parametrize("cut", [0, 20, 300, 5000])
def test_a_list_that_is_cut_off_is_not_read(cut: int) -> None:
    with pytest.raises(BrokenTable):
        balancer_list.read(balancer_list.written(TABLE)[:cut])


def test_a_backend_knows_which_of_its_domains_are_its_own() -> None:
    one, two = (f"{host}.example" for host in "ab")
    table = SlotTable(7, (A, B), {})
    at = {host: table.slots[slot_of(host, 2)] for host in (one, two)}
    assert set(at.values()) == {A, B}
    served = [(one,), (two,), (two, one), ("_.example",), ("_.c.example", one)]
    assert share_of(table, at[one], served) == Share(
        7, at[one], 1, 2, own=3, wildcards=1, elsewhere=(Elsewhere(two, at[two]),)
    )


@given(tables(), st.lists(st.sampled_from(["a.example", "b.example", "c.d.example"]), unique=True))
def test_each_domain_belongs_to_one_backend(table: SlotTable, domains: list[str]) -> None:
    shares = [share_of(table, each, [(domain,) for domain in domains]) for each in table.backends]
    assert sum(each.own for each in shares) == len(domains)
    assert sum(each.slots for each in shares) == len(table.slots)
    assert all(each.own + len(each.elsewhere) == len(domains) for each in shares)
