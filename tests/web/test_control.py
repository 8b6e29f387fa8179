"""The control API over HTTP, on a governor whose processes are fakes."""

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from emperor.bases.base_process import BaseState
from emperor.bases.request import Home
from emperor.model.authority import Caller
from emperor.model.lifecycle import Event
from emperor.model.problem import ProblemCode
from emperor.model.status import ReportedState, as_json
from emperor.supervisor import slices
from emperor.supervisor.events import REMEMBERED
from emperor.web.control import _json_of_lists
from emperor.web.endpoints import ENDPOINTS
from tests.backend import UnixConnection
from tests.cli.fake_emperor import FakeEmperor, listening
from tests.eventually import eventually

ROOT = Caller(0, is_administrator=True)


@pytest.fixture
def emperor(tmp_path: Path) -> Iterator[FakeEmperor]:
    """A daemon with a sleeping vassal and a refused ini."""
    fake = FakeEmperor(tmp_path)
    fake.serve("a.example")
    fake.refuse("b.example", "cannot read b.example.ini: binary")
    with listening(fake):
        yield fake


def _call(emperor: FakeEmperor, method: str, path: str) -> tuple[int, dict[str, str], Any]:
    connection = UnixConnection(emperor.run_dir / "control.sock")
    try:
        connection.request(method, path)
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, headers, json.loads(response.read())
    finally:
        connection.close()


def _instance(emperor: FakeEmperor) -> str:
    instance_id: str = _call(emperor, "GET", "/v1/status")[2]["emperor"]["instance_id"]
    return instance_id


@pytest.mark.parametrize(
    ("method", "path", "code", "detail"),
    [
        ("GET", "/v1/vassals/x.example", "no-such-vassal", "there is no vassal x.example"),
        ("POST", "/v1/vassals/x.example/start", "no-such-vassal", "there is no vassal x.example"),
        ("POST", "/v1/vassals/b.example/start", "refused", "cannot read b.example.ini: binary"),
        ("GET", "/v1/events?past=x", "bad-request", "cannot use past=x: it must be a number"),
        ("GET", "/v1/nothing", "no-such-endpoint", "cannot answer GET /v1/nothing: Not Found"),
        ("POST", "/v1/vassals/a.example/stop", "no-such-endpoint", "cannot answer POST "),
        ("GET", "/v1/rescan", "method-not-allowed", "cannot answer GET /v1/rescan: Method Not"),
    ],
)
def test_an_error_is_a_problem_by_rfc_9457(
    emperor: FakeEmperor, method: str, path: str, code: str, detail: str
) -> None:
    status, headers, problem = _call(emperor, method, path)
    [kind] = [kind for kind in ProblemCode if kind.code == code]
    assert headers["content-type"].startswith("application/problem+json")
    assert problem.keys() == {"type", "title", "status", "detail", "code"}
    assert problem["type"] == f"urn:emperord:problem:{code}"
    assert (status, problem["status"], problem["title"]) == (kind.status, kind.status, kind.title)
    assert problem["code"] == code
    assert problem["detail"].startswith(detail)


def test_a_wrong_method_is_answered_with_the_right_one(emperor: FakeEmperor) -> None:
    assert _call(emperor, "GET", "/v1/rescan")[1]["allow"] == "POST"


def test_a_fault_of_the_daemon_is_a_problem_too(
    emperor: FakeEmperor, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    emperor.rescan = fail  # type: ignore[method-assign]
    status, headers, problem = _call(emperor, "POST", "/v1/rescan")
    assert (status, problem["code"]) == (500, "internal-error")
    assert headers["content-type"].startswith("application/problem+json")
    assert "ZeroDivisionError" in caplog.text


def test_an_order_that_fails_says_why(emperor: FakeEmperor) -> None:
    emperor.failing["a.example"] = "exit status 22"
    status, _, problem = _call(emperor, "POST", "/v1/vassals/a.example/start")
    assert (status, problem["code"]) == (502, "order-failed")
    assert problem["detail"] == "cannot start a.example: exit status 22"


def test_activity_counts_maintenance_as_such(emperor: FakeEmperor) -> None:
    emperor.serve("closed.example")
    assert _call(emperor, "POST", "/v1/vassals/closed.example/maintenance-on")[0] == 200
    [counts] = _call(emperor, "GET", "/v1/activity")[2]["tenants"]
    assert (counts["parked"], counts["maintenance"]) == (1, 1)


def test_activity_is_of_what_does_something_or_was_asked_for(emperor: FakeEmperor) -> None:
    emperor.serve("b.example", "c.example", "d.example")
    emperor.failing["b.example"] = "exit status 22"
    assert _call(emperor, "POST", "/v1/vassals/b.example/start")[0] == 502
    for domain in ("c.example", "d.example"):
        assert _call(emperor, "POST", f"/v1/vassals/{domain}/start")[0] == 200

    def told(query: str) -> tuple[list[tuple[str, str]], int]:
        activity = _call(emperor, "GET", f"/v1/activity?{query}")[2]
        [counts] = activity["tenants"]
        assert (counts["uid"], counts["running"], counts["throttled"]) == (None, 2, 1)
        assert counts["parked"] == 1
        rows = [(each["status"]["name"], each["reason"]) for each in activity["vassals"]]
        return rows, activity["left_out"]

    by = "emperorctl start by uid 0"
    every = [("b.example", "exit status 22"), ("c.example", by), ("d.example", by)]
    assert told("") == (every, 0)
    assert told("most=1") == (every[:1], 2)
    assert told("match=A.ex") == ([("a.example", "")], 0)
    assert told("match=STATUS%2022") == (every[:1], 0)
    assert told("match=nothing") == ([], 0)


def test_a_rescan_is_ordered_of_the_daemon(emperor: FakeEmperor) -> None:
    assert _call(emperor, "POST", "/v1/rescan")[::2] == (200, {})
    assert emperor.rescans == 1


def test_an_upgrade_is_answered_before_the_exec(emperor: FakeEmperor) -> None:
    before = _instance(emperor)
    emperor.may_exec.clear()
    status, headers, answer = _call(emperor, "POST", "/v1/upgrade")
    assert (status, headers["connection"]) == (202, "close")
    assert answer == {"instance_id": before} == {"instance_id": _instance(emperor)}
    emperor.may_exec.set()
    eventually(lambda: _instance(emperor) != before)


def test_an_upgrade_that_cannot_be_is_answered_so(emperor: FakeEmperor) -> None:
    emperor.cannot_upgrade = "the new version does not start"
    status, _, problem = _call(emperor, "POST", "/v1/upgrade")
    assert (status, problem["code"]) == (409, "cannot-upgrade")
    assert "the new version does not start" in problem["detail"]


def _events(emperor: FakeEmperor, past: int) -> list[dict[str, Any]]:
    """Read the stream of events to its end, with `past` earlier events."""
    emperor.ends_with_events = True
    connection = UnixConnection(emperor.run_dir / "control.sock")
    connection.request("GET", f"/v1/events?past={past}")
    lines = connection.getresponse().read().splitlines()
    connection.close()
    return [json.loads(line) for line in lines]


def test_events_are_numbered_from_one_on(emperor: FakeEmperor) -> None:
    _call(emperor, "POST", "/v1/vassals/a.example/start")
    _call(emperor, "POST", "/v1/vassals/a.example/sleep")
    events = _events(emperor, 100)
    assert [(event["seq"], event["event"]) for event in events] == [
        (1, "start"), (2, "accepting"), (3, "idle"), (4, "exited"),
    ]  # fmt: skip
    assert [event["start_seconds"] for event in events] == [None, 0.0, None, None]


def test_a_gap_in_seq_shows_lost_events(emperor: FakeEmperor) -> None:
    for _ in range(REMEMBERED):
        emperor.events.record(emperor.event())
    assert [event["seq"] for event in _events(emperor, 2)] == [REMEMBERED - 1, REMEMBERED]
    emperor.events.record(emperor.event())
    assert emperor.events.recent()[0].seq == 2


def test_the_last_event_of_a_vassal_has_no_state_after_it(emperor: FakeEmperor) -> None:
    emperor.governor.dismiss("a.example")
    [last] = emperor.events.recent()
    assert (last.event, last.before, last.after) == (Event.REMOVED, ReportedState.PARKED, None)


def test_every_endpoint_has_a_path_of_its_own() -> None:
    assert len({(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}) == len(ENDPOINTS)
    assert not any(":" in endpoint.path for endpoint in ENDPOINTS)


def test_a_reader_of_events_that_leaves_is_no_fault(
    emperor: FakeEmperor, caplog: pytest.LogCaptureFixture
) -> None:
    reader = UnixConnection(emperor.run_dir / "control.sock")
    reader.request("GET", "/v1/events")
    reader.getresponse()
    reader.close()

    def two_at_once() -> None:
        for _ in range(2):
            emperor.events.record(emperor.event())

    for _ in range(3):
        emperor.loop.call_soon_threadsafe(two_at_once)
        assert _call(emperor, "GET", "/v1/status")[0] == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_followed_log_ends_with_the_daemon(tmp_path: Path) -> None:
    fake = FakeEmperor(tmp_path)
    fake.serve("a.example")
    log = tmp_path / "logs" / "a.example.log"
    log.parent.mkdir()
    log.write_bytes(b"one\n")
    follower = UnixConnection(tmp_path / "control.sock")
    with listening(fake):
        follower.request("GET", "/v1/vassals/a.example/log?follow=1")
        answer = follower.getresponse()
        assert answer.read1() == b"one\n"
        log.write_bytes(b"one\ntwo\n")
        fake.loop.call_soon_threadsafe(fake.reporter.printed.notify, "a.example")
        assert answer.read1() == b"two\n"
    assert answer.read() == b""
    follower.close()


def test_bases_are_read_in_the_loop_that_changes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emperor = FakeEmperor(tmp_path)
    bases = emperor.reporter.sources.bases
    bases.refused[Home("/venv", None, True, (100, 100))] = "it did not import within 60 s"
    readers: list[int] = []

    def states() -> tuple[BaseState, ...]:
        readers.append(threading.get_ident())
        return ()

    monkeypatch.setattr(bases, "states", states)
    with listening(emperor):
        loop: Future[int] = Future()
        emperor.loop.call_soon_threadsafe(lambda: loop.set_result(threading.get_ident()))
        status, _, answer = _call(emperor, "GET", "/v1/bases")
        assert readers == [loop.result()]
    assert status == 200
    assert [each["home"] for each in answer["without_base"]] == ["/venv"]


@pytest.fixture
def one_in_each_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0.0)


@pytest.mark.usefixtures("one_in_each_slice")
def test_a_report_of_many_leaves_turns_to_the_loop(tmp_path: Path) -> None:
    emperor = FakeEmperor(tmp_path)
    domains = [f"app{number:02}.example" for number in range(60)]
    emperor.serve(*domains)
    emperor.refuse("b.example", "cannot read b.example.ini: binary")

    async def turns_of(work: "asyncio.Task[Any]") -> int:
        turns = 0
        while not work.done():
            await asyncio.sleep(0)
            turns += 1
        return turns

    async def ask() -> None:
        report = asyncio.create_task(emperor.reporter.report(None, ROOT))
        assert await turns_of(report) >= len(domains)
        response = asyncio.create_task(_json_of_lists(report.result()))
        assert await turns_of(response) >= len(domains)
        assert json.loads(response.result().text or "") == as_json(report.result())
        assert [row.name for row in report.result().vassals] == domains

    emperor.loop.run_until_complete(ask())
    emperor.loop.close()


def test_metrics_that_do_not_fit_the_daemon_say_so(
    emperor: FakeEmperor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "emperor.web.exposition", None)
    connection = UnixConnection(emperor.run_dir / "control.sock")
    connection.request("GET", "/metrics")
    reply = connection.getresponse()
    assert reply.status == 500
    assert b"run `emperorctl upgrade`" in reply.read()
    connection.close()


def test_metrics_are_openmetrics_for_who_accepts_that(emperor: FakeEmperor) -> None:
    for accept, kind, end in (
        ("*/*", "text/plain; version=0.0.4", ""),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text", "# EOF\n"),
    ):
        connection = UnixConnection(emperor.run_dir / "control.sock")
        connection.request("GET", "/metrics", headers={"Accept": accept})
        response = connection.getresponse()
        assert response.getheader("Content-Type", "").startswith(kind)
        assert response.read().decode().endswith(end)
        connection.close()


def test_the_past_of_a_vassal_is_told(emperor: FakeEmperor) -> None:
    emperor.failing["a.example"] = "exit status 22"
    _call(emperor, "POST", "/v1/vassals/a.example/start")
    del emperor.failing["a.example"]
    for order in ("start", "sleep"):
        _call(emperor, "POST", f"/v1/vassals/a.example/{order}")
    status, _, history = _call(emperor, "GET", "/v1/vassals/a.example/history")
    assert status == 200
    told = [(start["outcome"], start["cause"], start["error"]) for start in history["starts"]]
    assert told == [("failed", "order", "exit status 22"), ("accepted", "order", None)]
    assert history["starts"][0]["wake"]["by"] == "emperorctl start by uid 0"
    assert [stop["reason"] for stop in history["stops"]] == ["emperorctl sleep by uid 0"]
    assert (history["name"], history["why_none"]) == ("a.example", None)
    last = _call(emperor, "GET", "/v1/vassals/a.example/history?most=1")[2]
    assert [start["outcome"] for start in last["starts"]] == ["accepted"]
    [row] = _call(emperor, "GET", "/v1/stats")[2]["vassals"]
    assert (row["name"], row["starts"], row["failures"], row["wakes"]) == ("a.example", 2, 1, 0)
    assert _call(emperor, "GET", "/v1/stats?domain=b.example")[2]["vassals"] == []
    later = _call(emperor, "GET", "/v1/stats?since=2099-01-01T00:00:00%2B01:00")[2]
    assert (later["vassals"], later["since"]) == ([], "2098-12-31T23:00:00.000Z")
    assert later["kept_since"] == _call(emperor, "GET", "/v1/stats")[2]["kept_since"]


@pytest.mark.parametrize("since", ["x", "2026-03-01", "2026-03-01T12:00:00", "0001-01-01T00:00Z-"])
def test_a_time_must_be_one_with_a_zone(emperor: FakeEmperor, since: str) -> None:
    for path in ("/v1/stats", "/v1/vassals/a.example/history"):
        status, _, problem = _call(emperor, "GET", f"{path}?since={since}")
        assert (status, problem["code"]) == (400, "bad-request")
        assert problem["detail"].startswith(f"cannot use since={since}: it must be a time such as")


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-12:00"])
def test_the_ends_of_time_are_times_too(emperor: FakeEmperor, since: str) -> None:
    assert _call(emperor, "GET", f"/v1/stats?since={since}")[0] in (200, 400)


def test_a_daemon_without_a_history_says_why(tmp_path: Path) -> None:
    (tmp_path / "history.db").mkdir()
    fake = FakeEmperor(tmp_path)
    fake.serve("a.example")
    with listening(fake):
        for path in ("/v1/stats", "/v1/vassals/a.example/history"):
            status, _, answer = _call(fake, "GET", path)
            assert status == 200
            assert answer["why_none"].endswith("history.db: Is a directory")
        fake.caller = Caller(4711, is_administrator=False)
        why = _call(fake, "GET", "/v1/stats")[2]["why_none"]
        assert why == "emperord keeps no history, or cannot read it now"
