"""`emperorctl plan`: what another list of backends would move, before it does."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from emperor.cli.placement import Placement, Rule
from emperor.cli.plan import warning
from tests.balancer.vectors import stock_hash
from tests.cli.conftest import Ctl, listing
from tests.cli.fake_emperor import FakeEmperor
from tests.cli.program import on_terminal
from tests.eventually import PATIENCE_SECONDS

DOMAINS = [f"site{n:03}.example" for n in range(400)]
A, B, C, D = (f"192.0.2.{n}" for n in (11, 12, 13, 14))


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """The list as it is."""
    return listing(tmp_path / "old.lua", A, B, C)


@pytest.fixture
def four(tmp_path: Path) -> Path:
    """The list with one more."""
    return listing(tmp_path / "new.lua", A, B, C, D)


@pytest.fixture
def vassals(tmp_path: Path) -> Path:
    """A folder of inis, and of what is none."""
    folder = tmp_path / "vassals"
    folder.mkdir()
    for name in (*(f"{domain}.ini" for domain in DOMAINS), ".hidden.ini", "README", "UPPER.ini"):
        (folder / name).touch()
    return folder


def planned(ctl: Ctl, *arguments: object) -> dict[str, Any]:
    result = ctl("plan", "--json", *map(str, arguments))
    assert (result.status, result.err) == (0, "")
    answer: dict[str, Any] = json.loads(result.out)
    return answer


def test_what_moves_is_told_from_where_to_where(
    ctl: Ctl, three: Path, four: Path, vassals: Path
) -> None:
    plan = planned(ctl, "--backends", three, four, "--vassals-dir", vassals)
    old, new = Placement(three, Rule.STOCK), Placement(four, Rule.STOCK)
    expected = {
        domain: (old.backend(domain), new.backend(domain))
        for domain in DOMAINS
        if old.backend(domain) != new.backend(domain)
    }
    assert {move["domain"]: (move["before"], move["after"]) for move in plan["moves"]} == expected
    assert (plan["domains"], plan["old"], plan["new"]) == (400, [A, B, C], [A, B, C, D])
    assert plan["placement"] == "stock"
    assert plan["warning"] is None
    assert any(file.endswith("get_backend_ip.lua") for file in plan["files"])


def test_rendezvous_moves_fewer_and_only_to_the_new_backend(
    ctl: Ctl, three: Path, four: Path, vassals: Path
) -> None:
    stock = planned(ctl, "--backends", three, four, "--vassals-dir", vassals)
    ideal = planned(
        ctl, "--backends", three, four, "--vassals-dir", vassals, "--placement", "rendezvous"
    )
    assert {move["after"] for move in ideal["moves"]} == {D}
    assert stock["rendezvous"] == len(ideal["moves"]) < len(stock["moves"]) / 2
    assert ideal["rendezvous"] is None


def test_the_text_has_the_share_the_flows_and_the_domains(
    ctl: Ctl, three: Path, four: Path, vassals: Path
) -> None:
    plan = planned(ctl, "--backends", three, four, "--vassals-dir", vassals)
    moved = len(plan["moves"])
    lines = ctl("plan", "--backends", str(three), str(four), "--vassals-dir", str(vassals)).out
    first, empty, *rest = lines.splitlines()
    assert first == f"{moved} of 400 domains ({moved / 4:.0f} %) would move."
    assert empty == ""
    assert rest[0].split() == ["FROM", "TO", "DOMAINS"]
    flows = [row.split() for row in rest[1:10]]
    assert [(before, after) for before, after, _ in flows] == [
        (A, B), (A, C), (A, D), (B, A), (B, C), (B, D), (C, A), (C, B), (C, D),
    ]  # fmt: skip
    assert sum(int(count) for _, _, count in flows) == moved
    assert rest[11] == (
        f"If both lists were placed by rendezvous: {plan['rendezvous']} of 400 domains"
        f" ({plan['rendezvous'] / 4:.0f} %)."
    )
    first_move = plan["moves"][0]
    assert rest[13] == f"{first_move['domain']}: {first_move['before']} → {first_move['after']}"
    assert len(rest) == 13 + moved, "a pipe gets them all"


def test_a_terminal_gets_one_screen(tmp_path: Path, three: Path, four: Path, vassals: Path) -> None:
    arguments = ("--backends", str(three), str(four), "--vassals-dir", str(vassals))
    with on_terminal(tmp_path, "plan", *arguments) as program:
        assert program.process.wait(PATIENCE_SECONDS) == 0
        lines = program.screen().splitlines()
    assert len(lines) < 24
    assert "more: --json" in lines[-1]


def test_the_domains_are_those_that_the_daemon_serves(
    emperor: FakeEmperor, ctl: Ctl, three: Path, four: Path
) -> None:
    emperor.serve("_.example.com", *DOMAINS[:30])
    plan = planned(ctl, "--backends", three, four)
    assert plan["domains"] == 30
    assert {move["domain"] for move in plan["moves"]} < set(DOMAINS[:30])


def test_without_a_daemon_it_says_how_to_do_without_one(ctl: Ctl, three: Path, four: Path) -> None:
    result = ctl("plan", "--backends", str(three), str(four))
    assert result.status == 4
    assert "cannot reach emperord" in result.err
    assert "--vassals-dir DIR does without it" in result.err


def test_the_same_list_moves_nothing(ctl: Ctl, three: Path, vassals: Path) -> None:
    result = ctl("plan", "--backends", str(three), str(three), "--vassals-dir", str(vassals))
    assert result.out == "0 of 400 domains (0 %) would move.\n"


def test_a_machine_without_domains_is_no_division_by_zero(
    ctl: Ctl, three: Path, four: Path, tmp_path: Path
) -> None:
    (tmp_path / "none").mkdir()
    result = ctl(
        "plan", "--backends", str(three), str(four), "--vassals-dir", str(tmp_path / "none")
    )
    assert result.out == "0 of 0 domains would move.\n"


@pytest.mark.parametrize(
    ("new", "warned"),
    [
        ((A, B, C), None),
        ((A, B, C, D), None),
        ((A, D, C), None),
        ((D,), None),
        ((A, B), "merely shorter; a dead backend stays in the list"),
        ((C, A), "merely shorter"),
        ((C, B, A), "in another order"),
    ],
)
def test_a_list_that_is_merely_shorter_or_shuffled_is_warned_of(
    new: tuple[str, ...], warned: str | None
) -> None:
    result = warning((A, B, C), new)
    assert (result is None) is (warned is None)
    assert (warned or "") in (result or "")


def test_the_warning_is_seen_and_is_no_failure(
    ctl: Ctl, three: Path, tmp_path: Path, vassals: Path
) -> None:
    shorter = listing(tmp_path / "shorter.lua", A, B)
    result = ctl("plan", "--backends", str(three), str(shorter), "--vassals-dir", str(vassals))
    assert result.status == 0
    assert result.out.splitlines()[1].startswith("warning: the new list is merely shorter; ")
    assert planned(ctl, "--backends", three, shorter, "--vassals-dir", vassals)["warning"]


def test_a_bad_list_or_folder_is_named(ctl: Ctl, three: Path, tmp_path: Path) -> None:
    bad = listing(tmp_path / "bad.lua")
    result = ctl("plan", "--backends", str(three), str(bad), "--vassals-dir", str(tmp_path))
    assert result.status == 1
    assert f"cannot use the backends of {bad}: web_server_ips is empty" in result.err
    result = ctl(
        "plan", "--backends", str(three), str(three), "--vassals-dir", str(tmp_path / "nope")
    )
    assert result.status == 1
    assert result.err == f"emperorctl: cannot read {tmp_path}/nope: No such file or directory\n"


def test_one_list_is_wrong_usage(ctl: Ctl, three: Path) -> None:
    assert ctl("plan", "--backends", str(three)).status == 2


SLOTS = [(A, B, C, C)[number % 4] for number in range(64)]


def test_slots_are_shown_by_backend(ctl: Ctl, tmp_path: Path, vassals: Path) -> None:
    old = listing(tmp_path / "old.lua", *SLOTS)
    moved = stock_hash(DOMAINS[0]) % len(SLOTS)
    new = listing(tmp_path / "new.lua", *SLOTS[:moved], D, *SLOTS[moved + 1 :])
    plan = planned(ctl, "--backends", old, new, "--vassals-dir", vassals)
    assert (plan["old"], plan["new"], plan["slots"]) == ([A, B, C], [A, B, C, D], 1)
    assert {(move["before"], move["after"]) for move in plan["moves"]} == {(SLOTS[moved], D)}
    assert DOMAINS[0] in {move["domain"] for move in plan["moves"]}
    assert plan["warning"] is None
    arguments = ("--backends", str(old), str(new), "--vassals-dir", str(vassals))
    lines = ctl("plan", *arguments).out.splitlines()
    assert lines[1] == "Slots that change their backend: 1."
    assert lines[3].split() == ["FROM", "TO", "DOMAINS"]


@pytest.mark.parametrize(
    ("old", "new", "warned"),
    [
        (SLOTS, SLOTS * 2, None),
        ((A, B, C), [A, B, C] * 21, None),
        ((A, B, C), SLOTS, "64 entries instead of 3 move most domains; only a multiple"),
        (SLOTS, SLOTS[:-1], "63 entries instead of 64"),
        (SLOTS, [B, A, C, C] * 16, None),
    ],
)
def test_only_another_number_of_slots_is_warned_of(
    old: Sequence[str], new: Sequence[str], warned: str | None
) -> None:
    result = warning(old, new)
    assert (result is None) is (warned is None)
    assert (warned or "") in (result or "")
