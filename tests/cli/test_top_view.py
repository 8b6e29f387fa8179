"""The screen of `emperorctl top`: rows, order, filter and keys, without a terminal."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emperor.cli.top_view import (
    KEYS,
    Command,
    Sample,
    SortKey,
    View,
    keys_of,
    press,
    report,
    rows_of,
    screen,
)
from emperor.model.activity import Active, Activity, TenantCounts
from emperor.model.authority import Operation
from emperor.model.status import VassalStatus
from tests.cli.records import NOW, parked, running, throttled
from tests.cli.records import report as status_report

SIZE = (80, 24)
VIEW = View()


def active(status: VassalStatus, reason: str = "hit: GET /", **changes: object) -> Active:
    return Active(replace(status, **changes), None, reason)  # type: ignore[arg-type]


SAMPLE = Sample(
    Activity(
        status_report().emperor,
        (TenantCounts(None, 1, 0, 0, 0, 0, 9990), TenantCounts(1000, 1, 0, 0, 1, 0, 7)),
        (
            active(running("b.example"), held=2, queued=5),
            active(running("a.example"), rss_bytes=2**30, uid=1000),
            active(throttled("c.example"), "exit status 22:\nno module\x1b[2J", uid=1000),
        ),
        3,
    ),
    NOW,
    cpu={"a.example": 12.34, "b.example": 99.0},
    memory={"b.example": 5 << 20},
    wakes={"a.example": 17},
)


def lines(view: View = VIEW, size: tuple[int, int] = SIZE) -> list[str]:
    return [line.plain for line in screen(SAMPLE, view, size, lambda uid: f"user{uid}")]


def names(view: View) -> str:
    return " ".join(each.status.name[0] for each in rows_of(SAMPLE, view))


def pressed(keys: str, view: View = VIEW) -> tuple[View, Command | None]:
    command = None
    for key in keys_of(keys):
        rows = [each.status.name for each in rows_of(SAMPLE, view)]
        view, command = press(view, key, rows, 10)
    return view, command


def test_a_screen_of_80_by_24_has_what_matters() -> None:
    shown = lines()
    assert len(shown) == 24
    assert max(map(len, shown)) <= 80
    assert "2 running, 1 throttled, 9997 parked" in shown[0]
    assert shown[1] == "3 that do something; 3 more, filter to see them"
    assert shown[2].split() == [
        "NAME", "STATE\N{DOWNWARDS ARROW}", "FOR", "WAIT", "CPU%", "MEM", "WAKES", "REASON"
    ]  # fmt: skip
    assert shown[3].split()[:4] == ["c.example", "throttled", "4s", "-"]
    assert r"exit status 22: no module\x1b[2J".startswith(shown[3].split("-  ")[-1].strip("- …"))
    assert shown[4].split()[:7] == ["a.example", "running", "3m12s", "-", "12.3", "1.0G", "17"]
    assert shown[5].split()[:7] == ["b.example", "running", "3m12s", "7", "99.0", "5.0M", "-"]
    assert shown[-1] == KEYS


@pytest.mark.parametrize(
    ("sort_key", "expected"),
    [
        (SortKey.STATE, "c a b"), (SortKey.CPU, "b a c"), (SortKey.MEMORY, "a b c"),
        (SortKey.WAITING, "b c a"), (SortKey.WAKES, "a c b"), (SortKey.NAME, "a b c"),
    ],
)  # fmt: skip
def test_rows_are_sorted_by_what_is_chosen(sort_key: SortKey, expected: str) -> None:
    assert names(View(sort_key=sort_key)) == expected


def test_o_goes_through_all_orders() -> None:
    view, seen = View(), []
    for _ in SortKey:
        seen.append(view.sort_key)
        view, _ = press(view, "o", (), 10)
    assert (seen, view.sort_key) == (list(SortKey), SortKey.STATE)


def test_a_filter_is_typed_kept_and_cleared() -> None:
    view, _ = pressed("/Bq")
    assert (view.needle, view.typing) == ("bq", True)
    assert lines(view)[1] == "filter: bq_"
    view, _ = pressed("\x7f\r", view)
    assert (names(view), view.typing) == ("b", False)
    assert pressed("/\x1b", view)[0] == pressed("\x1b", view)[0] == View()


@pytest.mark.parametrize(
    ("keys", "selected"),
    [("j", "a.example"), ("jj\x1b[B", "b.example"), ("jjjk", "a.example"), ("\x1b[6~", "b.example"),
     ("\x1b[F\x1b[H", "c.example"), ("k", "c.example"), ("\x1bOB\x1bOA", "c.example")],
)  # fmt: skip
def test_keys_move_the_selection(keys: str, selected: str) -> None:
    assert pressed(keys)[0].selected == selected


@pytest.mark.parametrize(
    ("key", "order"), [("a", Operation.START), ("z", Operation.SLEEP), ("r", Operation.RESTART)]
)
def test_an_order_needs_a_yes(key: str, order: Operation) -> None:
    view, command = pressed(f"j{key}")
    assert command is None
    assert lines(view)[-1] == f"{order.value} a.example? (y/n)"
    assert pressed("y", view)[1] == Command(order=order, name="a.example")
    for no in ("n", "\r", "q", "\x1b", "r"):
        after, command = pressed(no, view)
        assert (command, after.asked, after.message) == (None, None, "nothing was done")


def test_an_order_without_a_selection_is_for_the_first_row() -> None:
    assert pressed("ry")[1] == Command(order=Operation.RESTART, name="c.example")
    assert pressed("/nothing\rry")[1] is None
    assert pressed("try")[1] is None, "tenants take no orders"


def test_q_quits_but_is_a_letter_in_a_filter() -> None:
    assert pressed("q")[1] == Command(quits=True)
    assert pressed("/q")[1] is None


def test_maintenance_is_counted_as_such() -> None:
    counts = TenantCounts(None, 1, 0, 0, 0, 0, 3, maintenance=2)
    sample = replace(SAMPLE, activity=replace(SAMPLE.activity, tenants=(counts,)))
    head = screen(sample, VIEW, SIZE, str)[0].plain
    assert ": 1 running, 3 parked, 2 in maintenance; 1 failed" in head


def test_tenants_have_what_their_vassals_have() -> None:
    shown = lines(View(by_tenant=True))
    assert shown[3].split() == ["userNone", "99.0", "5.0M", "1", "0", "0", "9990"]
    assert shown[4].split() == ["user1000", "12.3", "1.0G", "1", "0", "1", "7"]


@pytest.mark.parametrize("height", [5, 10, 24])
def test_the_selected_row_stays_on_the_screen(height: int) -> None:
    many = tuple(active(running(f"s{number:03}.example")) for number in range(200))
    sample = replace(SAMPLE, activity=replace(SAMPLE.activity, vassals=many))
    for selected in ("s000.example", "s077.example", "s199.example"):
        view = View(selected=selected, sort_key=SortKey.NAME)
        shown = screen(sample, view, (60, height), str)
        assert len(shown) == height
        assert sum(line.plain.startswith(f"{selected} ") for line in shown) == 1


def test_the_whole_reason_stands_below_the_rows() -> None:
    error = "cannot load the app: " + "x " * 60 + "install it"
    broken = active(
        throttled(
            "c.example",
        ),
        error,
        last_error=error,
    )
    found = (active(running("a.example")), broken, active(running("b.example")))
    sample = replace(SAMPLE, activity=replace(SAMPLE.activity, vassals=found))

    def told(view: View, height: int = 24) -> str:
        shown = [line.plain for line in screen(sample, view, (80, height), str)]
        assert len(shown) == height
        return " ".join(" ".join(shown[-4:-1]).split())

    assert told(VIEW) == f"c.example: {error}", "it needs a person"
    assert told(View(selected="a.example")) == "a.example: hit: GET /"
    assert told(VIEW, 12) == "", "rows count for more"
    assert told(View(by_tenant=True)) == ""
    shown = [line.plain for line in screen(sample, VIEW, SIZE, str)]
    assert "; 1 failed" in shown[0]
    long = replace(
        sample, activity=replace(sample.activity, vassals=(replace(broken, reason="y " * 300),))
    )
    assert screen(long, VIEW, SIZE, str)[-2].plain.endswith("y…")


def test_a_filter_finds_reasons_too() -> None:
    assert names(View(needle="no module")) == "c"
    assert names(View(needle="nothing")) == ""


def test_a_pipe_gets_all_rows_once() -> None:
    shown = [line.plain for line in report(SAMPLE, 200)]
    assert [line.split()[0] for line in shown[3:6]] == ["c.example", "a.example", "b.example"]
    assert r"exit status 22: no module\x1b[2J" in shown[3]
    assert shown[6:] == ["… and 3 more"]


@given(st.text(), st.text(), st.tuples(st.integers(20, 200), st.integers(5, 60)))
def test_no_text_breaks_the_screen(name: str, reason: str, size: tuple[int, int]) -> None:
    found = (active(parked(name), reason),)
    sample = replace(SAMPLE, activity=replace(SAMPLE.activity, vassals=found))
    shown = screen(sample, View(selected=name), size, str)
    assert len(shown) == size[1]
    assert all(line.cell_len <= size[0] and line.plain.isprintable() for line in shown)


@given(st.text(st.sampled_from("\x1b[O~5AZj/\r\x7f;1\N{SNOWMAN}"), max_size=20))
def test_any_bytes_of_a_terminal_are_keys_or_none(typed: str) -> None:
    view, _ = pressed(typed)
    assert view.needle.isprintable()


@pytest.mark.parametrize(
    ("typed", "keys"),
    [("\x1b[1;5C", []), ("\x1b[15~q", ["q"]), ("\x1b", ["escape"]), ("\x1b[", []),
     ("ab\r", ["a", "b", "enter"]), ("\x1b[200~x", ["x"])],
)  # fmt: skip
def test_an_unknown_sequence_is_no_key(typed: str, keys: list[str]) -> None:
    assert keys_of(typed) == keys
