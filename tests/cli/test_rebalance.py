"""`emperorctl rebalance`: a list of slots of which few move."""

import json
from collections import Counter
from pathlib import Path

import pytest

from emperor.cli.placement import Placement, Rule
from tests.cli.conftest import Ctl, listing

A, B, C, D, E = (f"192.0.2.{n}" for n in (11, 12, 13, 14, 15))
DOMAINS = [f"customer-{n:04}.example" for n in range(2_000)]


@pytest.fixture
def four(tmp_path: Path) -> Path:
    return listing(tmp_path / "four.lua", A, B, C, D)


def rebalanced(ctl: Ctl, old: Path, *arguments: str) -> Path:
    """The file with the new list."""
    result = ctl("rebalance", "--backends", str(old), *arguments)
    assert result.status == 0, result.err
    new = old.with_name(f"{old.stem}-new.lua")
    new.write_text(result.out)
    return new


def slots(file: Path) -> tuple[str, ...]:
    return Placement(file, Rule.STOCK).slots


def test_a_new_backend_is_all_that_plan_shows(ctl: Ctl, four: Path, tmp_path: Path) -> None:
    new = rebalanced(ctl, four, "--add", E)
    vassals = tmp_path / "vassals"
    vassals.mkdir()
    for domain in DOMAINS:
        (vassals / f"{domain}.ini").touch()
    arguments = ("--backends", str(four), str(new), "--vassals-dir", str(vassals), "--json")
    plan = json.loads(ctl("plan", *arguments).out)
    assert {move["after"] for move in plan["moves"]} == {E}
    assert 0.18 < len(plan["moves"]) / len(DOMAINS) < 0.22
    assert plan["warning"] is None
    assert Counter(slots(new)) == {A: 820, B: 819, C: 819, D: 819, E: 819}
    same = ("--backends", str(new), str(rebalanced(ctl, new)), "--vassals-dir", str(vassals))
    assert ctl("plan", *same).out == "0 of 2000 domains (0 %) would move.\n"


def test_weights_and_ports_are_kept_in_the_list(ctl: Ctl, tmp_path: Path) -> None:
    old = listing(tmp_path / "old.lua", "[2001:db8::1]", "[2001:db8::2]")
    old.write_text(old.read_text() + "web_backend_ports = { http = 8080, https = 8443 }\n")
    new = rebalanced(ctl, old, "--add", "[2001:db8::3]=2")
    assert 'web_server_weights = { ["[2001:db8::3]"] = 2 }\n' in new.read_text()
    assert "web_backend_ports = { http = 8080, https = 8443 }\n" in new.read_text()
    again = rebalanced(ctl, new, "--add", "[2001:db8::4]")
    counts = Counter(slots(again)).values()
    assert sorted(round(count / 4096, 2) for count in counts) == [0.2, 0.2, 0.2, 0.4]
    back = rebalanced(ctl, again, "--add", "[2001:db8::3]=1")
    assert set(Counter(slots(back)).values()) == {1024}
    assert "web_server_weights" not in back.read_text()
    assert moved_only_from(slots(again), slots(back)) == {"[2001:db8::3]"}


def moved_only_from(old: tuple[str, ...], new: tuple[str, ...]) -> set[str]:
    return {before for before, after in zip(old, new, strict=True) if before != after}


def test_a_removed_backends_slots_go_to_all_others(ctl: Ctl, four: Path) -> None:
    old = rebalanced(ctl, four)
    result = ctl("rebalance", "--backends", str(old), "--remove", B)
    assert result.err.splitlines() == [
        f"{A}: 1024 → 1366 slots",
        f"{B}: 1024 → 0 slots",
        f"{C}: 1024 → 1365 slots",
        f"{D}: 1024 → 1365 slots",
        "1024 of 4096 slots change their backend.",
    ]
    new = rebalanced(ctl, old, "--remove", B)
    assert moved_only_from(slots(old), slots(new)) == {B}


def test_a_machine_is_replaced_by_another(ctl: Ctl, four: Path) -> None:
    old = rebalanced(ctl, four)
    new = rebalanced(ctl, old, "--remove", B, "--add", E)
    assert {(a, b) for a, b in zip(slots(old), slots(new), strict=True) if a != b} == {(B, E)}


def test_another_number_of_slots_is_warned_of(ctl: Ctl, four: Path) -> None:
    result = ctl("rebalance", "--backends", str(four), "--slots", "1001")
    assert result.status == 0
    assert result.err.startswith("warning: 1001 slots instead of 4 move most domains; ")
    assert "warning" not in ctl("rebalance", "--backends", str(four), "--slots", "1000").err


@pytest.mark.parametrize(
    ("arguments", "status", "cause"),
    [
        (["--add", "web5"], 1, "cannot add web5: it is neither an IPv4 address nor"),
        (["--add", "wéb5"], 1, "cannot add wéb5: it is no address"),
        (["--add", "[::]"], 1, "cannot use the new list: entry "),
        (["--add", f"{E}:80"], 1, "cannot use the new list: entry "),
        (["--add", A], 1, f"cannot add {A}: the list has it; {A}=2 gives it the weight 2"),
        (["--remove", E], 1, f"cannot remove {E}: the list has no such backend"),
        (["--remove", A, "--remove", B, "--remove", C, "--remove", D], 1, "no backend would be"),
        (["--slots", "3"], 1, "cannot share out 3 slots: 192.0.2.14 would have none"),
        (["--add", f"{E}=0"], 2, "'0' is no weight: a number above 0, up to 1000"),
        (["--add", f"{E}=1e400000000"], 2, "is no weight"),
        (["--add", f"{E}=1/3"], 2, "is no weight"),
        (["--add", f"{E}="], 2, "'' is no weight"),
        (["--add", E, "--remove", E], 2, f"{E} is named twice"),
        (["--slots", "0"], 2, "0 is not in the range"),
        (["--slots", "100000"], 2, "100000 is not in the range"),
    ],
)
def test_what_cannot_be_is_told_and_no_list_is_printed(
    ctl: Ctl, four: Path, arguments: list[str], status: int, cause: str
) -> None:
    result = ctl("rebalance", "--backends", str(four), *arguments)
    assert (result.status, result.out) == (status, "")
    assert cause in result.err


@pytest.mark.parametrize(
    ("weights", "cause"),
    [
        ("2", "it is no table"),
        (f'{{ ["{A}"] = "2" }}', f"{A} has '2'"),
        (f'{{ ["{A}"] = -1 }}', f"{A} has -1"),
        (f'{{ ["{A}"] = 0 / 0 }}', f"{A} has "),
        (f'{{ ["{A}"] = true }}', f"{A} has True"),
    ],
)
def test_weights_of_a_list_that_make_no_sense_are_named(
    ctl: Ctl, four: Path, weights: str, cause: str
) -> None:
    four.write_text(f"{four.read_text()}web_server_weights = {weights}\n")
    result = ctl("rebalance", "--backends", str(four))
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith("emperorctl: cannot use web_server_weights: ")
    assert cause in result.err


def test_a_list_that_cannot_be_used_is_refused(ctl: Ctl, tmp_path: Path) -> None:
    bad = listing(tmp_path / "bad.lua")
    result = ctl("rebalance", "--backends", str(bad))
    assert (result.status, result.out) == (1, "")
    assert f"cannot use the backends of {bad}: web_server_ips is empty" in result.err
    assert ctl("rebalance", "--add", E).status == 2
