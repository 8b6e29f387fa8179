"""`emperorctl fleet` on a real etcd, with TLS and authentication."""

import io
import json
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import pytest

from emperor.cli.placement import Placement, Rule
from emperor.model import absences, balancer_state, member, slot_table
from emperor.model.balancer_state import BalancerState
from emperor.model.member import Capacity, Member
from emperor.model.registration import RegisteredIni, Sealed, encoded, slot_of
from emperor.model.registry_keys import Keys
from emperor.model.slot_table import SlotTable, decoded
from tests.cli.conftest import Ctl, Outcome, listing
from tests.etcd_cluster import PASSWORD, USER, EtcdCluster
from tests.eventually import PATIENCE_SECONDS, eventually

KEYS = Keys("/emperord")
A, B, C, D, E = (f"192.0.2.{number}" for number in range(11, 16))


@pytest.fixture
def fleet(ctl: Ctl, access_file: Path) -> Ctl:
    def invoke(*arguments: str) -> Outcome:
        return ctl("fleet", "--registry", str(access_file), *arguments)

    return invoke


def table(cluster: EtcdCluster) -> SlotTable:
    """What etcd has."""
    return decoded(cluster.etcdctl("get", "--print-value-only", KEYS.slots()).strip().encode())


def up(cluster: EtcdCluster, *addresses: str, drains: bool = False, weight: int = 1) -> None:
    """These backends are registered."""
    for each in addresses:
        size = Capacity(8, 16 << 30, 70)
        record = Member(each, f"m-{each}", Fraction(weight), size, "0.1.0", 1_700_000_000, drains)
        cluster.etcdctl("put", KEYS.backend(each), member.encoded(record).decode())


class Terminal(io.StringIO):
    """Somebody who types this."""

    def isatty(self) -> bool:
        return True


def must(outcome: Outcome) -> str:
    assert outcome.status == 0, outcome.err
    return outcome.out


def three(fleet: Ctl) -> None:
    must(fleet("slots", "init", A, B, C))


def moves(before: SlotTable, after: SlotTable) -> Counter[tuple[str, str]]:
    pairs = zip(before.slots, after.slots, strict=True)
    return Counter(pair for pair in pairs if pair[0] != pair[1])


def test_a_plain_list_becomes_a_table_and_no_domain_moves(
    fleet: Ctl, cluster: EtcdCluster, tmp_path: Path
) -> None:
    plain = listing(tmp_path / "plain.lua", A, B, C)
    must(fleet("slots", "init", str(plain)))
    made = table(cluster)
    assert (made.serial, len(made.slots)) == (1, 4095)
    shown = tmp_path / "shown.lua"
    shown.write_text(must(fleet("slots", "show")))
    old, new = (Placement(file, Rule.STOCK) for file in (plain, shown))
    for host in (f"shop{number}.example" for number in range(200)):
        assert old.backend(host) == new.backend(host)


def test_a_machine_keeps_its_slots_under_another_address(
    fleet: Ctl, cluster: EtcdCluster, tmp_path: Path
) -> None:
    three(fleet)
    before, listed = table(cluster), tmp_path / "backends.lua"
    listed.write_text(must(fleet("slots", "show")).replace(f'"{A}"', f'"{D}"'))
    must(fleet("slots", "init", "--force", str(listed)))
    assert table(cluster).slots == tuple(D if each == A else each for each in before.slots)


def test_a_second_table_needs_force_and_has_a_higher_serial(
    fleet: Ctl, cluster: EtcdCluster
) -> None:
    three(fleet)
    refused = fleet("slots", "init", A, B)
    assert refused.status == 1
    assert "there is a table of slots already" in refused.err
    must(fleet("slots", "init", A, B, "--force", "--slots", "128"))
    assert (table(cluster).serial, table(cluster).forced, len(table(cluster).slots)) == (2, 2, 128)
    must(fleet("slots", "init", A, B, "--force", "--serial", "40"))
    assert table(cluster).serial == 40
    cluster.etcdctl("put", KEYS.slots(), "broken")
    assert "cannot use the registry's table" in fleet("status").err
    must(fleet("slots", "init", A, B, "--force", "--serial", "41"))


def test_a_new_backend_gets_its_share_and_nothing_else_moves(
    fleet: Ctl, cluster: EtcdCluster
) -> None:
    three(fleet)
    up(cluster, D, weight=2)
    before = table(cluster)
    dry = must(fleet("add", D, "--dry-run"))
    assert "1638 of 4095 slots change" in dry
    assert "Nothing was changed." in dry
    assert table(cluster) == before
    must(fleet("add", D))
    after = table(cluster)
    assert {to for _, to in moves(before, after)} == {D}
    assert sum(moves(before, after).values()) == 1638
    assert after.weights == {D: Fraction(2)}
    must(fleet("add", f"{D}=1", "--yes"))
    assert 1023 <= table(cluster).slots.count(D) <= 1024


def test_what_changes_is_told_in_the_order_of_addresses(fleet: Ctl) -> None:
    must(fleet("slots", "init", C, "192.0.2.9", A))
    told = must(fleet("add", "192.0.2.100", "--yes"))
    assert [line.partition(":")[0] for line in told.splitlines()[:4]] == [
        "192.0.2.9", A, C, "192.0.2.100",
    ]  # fmt: skip


def test_a_dry_run_counts_the_domains_of_the_registry(fleet: Ctl, cluster: EtcdCluster) -> None:
    must(fleet("slots", "init", A, B, C, "--slots", "12"))
    for number in range(30):
        domain = f"shop{number}.example"
        entry = encoded(Sealed(RegisteredIni(domain, 1, "shop", "[uwsgi]\n")))
        cluster.etcdctl("put", KEYS.vassal(domain), entry.decode())
    before = table(cluster)
    dry = must(fleet("move", "1", B, "--dry-run"))
    there = sum(slot_of(f"shop{number}.example", 12) == 0 for number in range(30))
    assert f"{there} of 30 domains in the registry" in dry
    assert table(cluster) == before


def test_a_backend_is_removed(fleet: Ctl, cluster: EtcdCluster) -> None:
    three(fleet)
    before = table(cluster)
    must(fleet("remove", C))
    after = table(cluster)
    assert {pair[0] for pair in moves(before, after)} == {C}
    assert after.removed == (C,)
    assert abs(after.slots.count(A) - after.slots.count(B)) <= 1
    refused = fleet("remove", B)
    assert "balancers would refuse that: 1 of 2 backends are gone at once" in refused.err
    must(fleet("remove", B, "--force"))
    assert (table(cluster).backends, table(cluster).forced) == ((A,), 3)
    assert "no backend would be left" in fleet("remove", A, "--force").err
    assert f"cannot remove {E}: the table has no such backend" in fleet("remove", E).err
    assert f"cannot add {A}: the table has it; {A}=2 gives" in fleet("add", A).err
    must(fleet("add", C, "--yes"))
    assert table(cluster).removed == (B,)


@pytest.mark.parametrize(
    ("arguments", "question"),
    [
        (("remove", C), "up, and does not drain"),
        (("add", D), "not registered, so nobody knows that it is up"),
    ],
)
def test_what_hurts_is_asked(
    fleet: Ctl,
    cluster: EtcdCluster,
    monkeypatch: pytest.MonkeyPatch,
    arguments: Sequence[str],
    question: str,
) -> None:
    three(fleet)
    up(cluster, A, B, C)
    before = table(cluster)
    assert question in fleet(*arguments).err
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    asked = fleet(*arguments)
    assert asked.status == 1
    assert question in asked.out
    assert table(cluster) == before
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    must(fleet(*arguments))
    assert table(cluster).serial == 2
    assert question not in must(fleet("move", "1", B, "--yes", "--force"))


def test_what_does_not_hurt_is_not_asked(fleet: Ctl, cluster: EtcdCluster) -> None:
    three(fleet)
    up(cluster, C, drains=True)
    must(fleet("remove", C))


def test_a_slot_is_moved_by_number_and_by_domain(fleet: Ctl, cluster: EtcdCluster) -> None:
    three(fleet)
    before = table(cluster)
    must(fleet("move", "1", B))
    assert moves(before, table(cluster)) == Counter({(A, B): 1})
    host = next(
        host for host in (f"shop{number}.example" for number in range(99))
        if table(cluster).slots[slot_of(host, 4095)] == A
    )  # fmt: skip
    must(fleet("move", host.upper(), C))
    assert table(cluster).slots[slot_of(host, 4095)] == C
    assert "belongs to" in fleet("move", host, C).err
    assert "no slot 4096" in fleet("move", "4096", A).err
    assert "it has none" in fleet("move", "1", E).err
    assert "neither a slot nor a host name" in fleet("move", "a b", A).err


def test_a_host_is_routed_by_the_table_of_the_registry(fleet: Ctl, cluster: EtcdCluster) -> None:
    three(fleet)
    up(cluster, A)
    up(cluster, B, drains=True)
    slot = slot_of("shop.example", 4095) + 1
    if table(cluster).slots[slot - 1] != C:
        must(fleet("move", str(slot), C))
    shown = must(fleet("route", "Shop.example."))
    assert shown.startswith(f"shop.example: {C} (down) (3 of 3; slot {slot} of 4095), then ")
    assert sorted(shown.partition("then ")[2].strip().split(", ")) == [A, f"{B} (drains)"]
    refused = fleet("route", "shop.example", "a b")
    assert (refused.status, refused.out) == (1, shown)
    assert "nginx answers 400" in refused.err


def test_what_the_registry_refuses_is_not_told_as_if_done(
    fleet: Ctl, cluster: EtcdCluster, access_file: Path, ctl: Ctl
) -> None:
    read = ("role", "grant-permission", "reader", "--prefix=true", "read", "/emperord/")
    for command in (("role", "add", "reader"), read, ("user", "add", f"reader:{PASSWORD}"),
                    ("user", "grant-role", "reader", "reader")):  # fmt: skip
        cluster.etcdctl(*command)
    reader = access_file.with_name("reader.ini")
    reader.write_text(access_file.read_text().replace(f"user = {USER}", "user = reader"))

    def refused(*arguments: str) -> str:
        outcome = ctl("fleet", "--registry", str(reader), *arguments)
        assert (outcome.status, outcome.out) == (1, "")
        return outcome.err

    may_not = "cannot change the slots: the registry refuses it: its user reader may not write"
    assert may_not in refused("slots", "init", A, B)
    three(fleet)
    before = table(cluster)
    for arguments in (("add", D, "--yes"), ("remove", C), ("move", "1", B), ("confirm",)):
        assert may_not in refused(*arguments)
    assert table(cluster) == before


def test_confirm_forces_the_table_as_it_is(fleet: Ctl, cluster: EtcdCluster) -> None:
    three(fleet)
    must(fleet("move", "1", B))
    must(fleet("confirm"))
    assert (table(cluster).serial, table(cluster).forced) == (3, 3)
    must(fleet("confirm", "--serial", "40"))
    assert (table(cluster).serial, table(cluster).forced) == (40, 40)


@pytest.mark.parametrize("address", ["shop.example", "0.0.0.0", f"{D}:80", "[::1"])
def test_what_is_no_backend_is_not_added(fleet: Ctl, cluster: EtcdCluster, address: str) -> None:
    three(fleet)
    assert fleet("add", address, "--yes").status == 1
    assert table(cluster).serial == 1


def test_status_shows_who_is_up_and_who_has_what(fleet: Ctl, cluster: EtcdCluster) -> None:
    three(fleet)
    up(cluster, A, D)
    up(cluster, B, drains=True)
    cluster.etcdctl("put", KEYS.absences(), absences.encoded({C: 1_700_000_000}).decode())
    shown = must(fleet("status"))
    rows = {line.split()[0]: line.split()[1] for line in shown.splitlines()[1:5]}
    assert rows == {A: "up", B: "drains", C: "down", D: "new"}
    assert "Table 1, 4095 slots." in shown
    found = json.loads(must(fleet("status", "--json")))
    assert found["serial"] == 1
    first, _, third, fourth = found["backends"]
    assert first == {
        "address": A, "state": "up", "since": "2023-11-14T22:13:20.000Z", "weight": 1.0,
        "slots": 1365, "share": pytest.approx(1 / 3), "awake": 70, "cores": 8, "memory": 16 << 30,
        "version": "0.1.0",
    }  # fmt: skip
    assert (third["since"], third["cores"]) == ("2023-11-14T22:13:20.000Z", None)
    assert (fourth["slots"], fourth["share"]) == (0, 0.0)


def test_status_shows_backends_in_the_order_of_addresses(fleet: Ctl, cluster: EtcdCluster) -> None:
    must(fleet("slots", "init", B, "192.0.2.9", "[2001:db8::9]", A))
    up(cluster, "192.0.2.100", E)
    shown = [line.split()[0] for line in must(fleet("status")).splitlines()[1:7]]
    assert shown == ["192.0.2.9", A, B, "[2001:db8::9]", E, "192.0.2.100"]


def test_who_has_a_table_is_told(
    fleet: Ctl, cluster: EtcdCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emperor.cli.fleet.session._WAIT_SECONDS", 0.2)
    three(fleet)
    assert "No balancer tells" in must(fleet("move", "1", B))
    assert "No balancer tells" in must(fleet("status"))
    for state in (BalancerState("lb1", 9, "", "0.1.0"), BalancerState("lb2", 1, "no \x1b", "1")):
        cluster.etcdctl("put", KEYS.balancer(state.name), balancer_state.encoded(state).decode())
    moved = fleet("move", "1", C)
    assert "Balancers that have it: lb1." in must(moved)
    assert "warning: lb2 does not have it: no \\x1b" in moved.err
    shown = must(fleet("status"))
    assert "Balancer lb1: table 9" in shown
    assert "Balancer lb2: table 1; no \\x1b" in shown
    cluster.etcdctl("put", KEYS.balancer("lb3"), "broken")
    assert [
        each["serial"] for each in json.loads(must(fleet("status", "--json")))["balancers"]
    ] == [9, 1]


def test_a_problem_from_before_a_table_is_none_with_that_table(
    fleet: Ctl, cluster: EtcdCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emperor.cli.fleet.session._WAIT_SECONDS", PATIENCE_SECONDS)

    def tell(name: str, serial: int, problem: str) -> None:
        state = balancer_state.encoded(BalancerState(name, serial, problem, "0.1.0"))
        cluster.etcdctl("put", KEYS.balancer(name), state.decode())

    def take_the_table_up() -> None:
        eventually(lambda: KEYS.slots() in cluster.etcdctl("get", "--keys-only", KEYS.slots()))
        tell("lb2", 1, "")
        tell("lb1", 1, "")

    tell("lb1", 0, "there is no table")
    tell("lb2", 0, "there is no table")
    with ThreadPoolExecutor() as others:
        others.submit(take_the_table_up)
        made = fleet("slots", "init", A, B)
    assert "Balancers that have it: lb1, lb2." in must(made)
    assert "warning" not in made.err


def test_a_balancer_that_refuses_a_first_table_has_it_not(
    fleet: Ctl, cluster: EtcdCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emperor.cli.fleet.session._WAIT_SECONDS", PATIENCE_SECONDS)

    def tell(problem: str) -> None:
        state = balancer_state.encoded(BalancerState("lb1", 7, problem, "0.1.0"))
        cluster.etcdctl("put", KEYS.balancer("lb1"), state.decode())

    def refuse_the_table() -> None:
        eventually(lambda: KEYS.slots() in cluster.etcdctl("get", "--keys-only", KEYS.slots()))
        tell("its serial is 1, and serial 7 is in use already")

    tell("there is no table")
    with ThreadPoolExecutor() as others:
        others.submit(refuse_the_table)
        made = fleet("slots", "init", A, B)
    assert "Balancers that have it" not in must(made)
    assert "lb1 does not have it: its serial is 1, and serial 7 is in use already" in made.err


def test_a_hostile_registry_does_not_steer_the_terminal(fleet: Ctl, cluster: EtcdCluster) -> None:
    three(fleet)
    record = member.encoded(
        Member(A, "m", Fraction(1), Capacity(1, 1, 1), "\x1b[31m\nred", 10**18, False)
    ).decode()
    cluster.etcdctl("put", KEYS.backend(A), record)
    cluster.etcdctl("put", KEYS.backend("evil\x1b[2J"), record)
    shown = must(fleet("status"))
    assert "\x1b" not in shown
    assert len(shown.splitlines()) == 6


def test_without_a_table_the_cure_is_told(fleet: Ctl) -> None:
    assert "There is no table of slots" in must(fleet("status"))
    for arguments in (("add", A), ("remove", A), ("move", "1", A), ("confirm",), ("slots", "show")):
        refused = fleet(*arguments)
        assert refused.status == 1
        assert "`emperorctl fleet slots init` makes one" in refused.err


def test_a_registry_that_is_away_is_told_by_the_status(
    ctl: Ctl, access_file: Path, tmp_path: Path
) -> None:
    away = tmp_path / "away.ini"
    away.write_text("[registry]\nendpoints = https://127.0.0.1:1\n")
    refused = ctl("fleet", "--registry", str(away), "status")
    assert refused.status == 4
    assert refused.err.count("cannot reach the registry") == 1


def test_two_changes_at_once_are_not_mixed(
    fleet: Ctl, cluster: EtcdCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    three(fleet)
    made = table(cluster)
    moved = slot_table.with_slot(made, 2, A)

    def change_meanwhile(*_: object, **__: object) -> bool:
        cluster.etcdctl("put", KEYS.slots(), slot_table.encoded(moved).decode())
        return True

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("click.confirm", change_meanwhile)
    refused = fleet("add", D)
    assert "somebody else has changed them" in refused.err
    assert table(cluster) == moved
