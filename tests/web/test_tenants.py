"""What the control API tells a tenant: its own vassals, and nothing of others."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emperor.model.authority import NOBODY, Caller
from emperor.model.cause import Cause
from emperor.model.history import PastStop, StopKind, Stopped, Subject
from emperor.model.spec import Identity
from emperor.model.status import LimitHits
from emperor.web.stand_in import Question, Reply
from tests.backend import UnixConnection
from tests.cli.fake_emperor import FakeEmperor, listening
from tests.cli.records import NOW
from tests.eventually import eventually

ALICE, MALLORY = 1001, 1002
AS_ALICE = {"identity": Identity(ALICE, ALICE, "alice")}
AS_MALLORY = {"identity": Identity(MALLORY, MALLORY, "mallory")}
# What mallory must not learn.
SECRETS = ("alice", "root.example")


@pytest.fixture
def emperor(tmp_path: Path) -> Iterator[FakeEmperor]:
    """A daemon that mallory asks, with vassals and a refused ini of two tenants and of root's."""
    fake = FakeEmperor(tmp_path)
    fake.serve("mallory.example", "more.mallory.example", **AS_MALLORY)
    fake.serve("alice.example", aliases=("www.alice.example",), **AS_ALICE)
    fake.serve("_.wild.alice.example", **AS_ALICE)
    fake.serve("root.example")
    fake.refuse("broken.alice.example", "cannot read it, says alice", ALICE)
    fake.refuse("broken.root.example", "cannot read it, says root.example")
    fake.refuse("broken.mallory.example", "cannot read it: binary", MALLORY)
    with listening(fake):
        fake.caller = Caller(MALLORY, is_administrator=False)
        yield fake


def _call(emperor: FakeEmperor, method: str, path: str) -> tuple[int, str]:
    connection = UnixConnection(emperor.run_dir / "control.sock")
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def _json(emperor: FakeEmperor, path: str) -> Any:
    status, body = _call(emperor, "GET", path)
    assert status == 200, body
    return json.loads(body)


def _as_root(emperor: FakeEmperor, method: str, path: str) -> tuple[int, str]:
    emperor.caller = Caller(0, is_administrator=True)
    try:
        return _call(emperor, method, path)
    finally:
        emperor.caller = Caller(MALLORY, is_administrator=False)


def test_a_tenant_sees_its_own_vassals_and_inis(emperor: FakeEmperor) -> None:
    report = _json(emperor, "/v1/status")
    names = [(vassal["name"], vassal["uid"]) for vassal in report["vassals"]]
    assert names == [("mallory.example", MALLORY), ("more.mallory.example", MALLORY)]
    assert [ini["domain"] for ini in report["refused"]] == ["broken.mallory.example"]
    every = json.loads(_as_root(emperor, "GET", "/v1/status")[1])
    assert (len(every["vassals"]), len(every["refused"])) == (5, 3)


def test_the_headline_counts_what_is_its_own(emperor: FakeEmperor) -> None:
    _as_root(emperor, "POST", "/v1/drain")
    emperor.admission.rejection("alice.example", 10**6)
    with ExitStack() as held:
        for domain in ("alice.example", "alice.example", "mallory.example"):
            held.enter_context(emperor.admission.holding(domain))
        told = _json(emperor, "/v1/status")["emperor"]
    assert (told["held"], told["turned_away"], told["draining_since"]) == (1, 0, None)


@pytest.mark.parametrize(
    "path",
    ["/v1/status", "/v1/activity", "/v1/activity?match=e&measure=alice.example", "/metrics",
     "/v1/events?follow=0", "/v1/stats"],
)  # fmt: skip
def test_no_list_has_a_word_of_others(emperor: FakeEmperor, path: str) -> None:
    for domain in ("alice.example", "root.example", "mallory.example"):
        assert _as_root(emperor, "POST", f"/v1/vassals/{domain}/start")[0] == 200
    status, body = _call(emperor, "GET", path)
    assert status == 200
    assert not [secret for secret in SECRETS if secret in body], body
    assert "mallory.example" in body
    assert all(secret in _as_root(emperor, "GET", path)[1] for secret in SECRETS)
    assert str(ALICE) not in body


@pytest.mark.parametrize("path", ["/v1/status", "/metrics"])
def test_limits_that_others_reach_are_not_told(emperor: FakeEmperor, path: str) -> None:
    hits = {MALLORY: LimitHits("mallory", "nproc", 1), ALICE: LimitHits("alice", "nproc", 7)}
    emperor.reporter.sources = replace(
        emperor.reporter.sources,
        limit_hits=lambda caller: tuple(hits[uid] for uid in hits if caller.sees(uid)),
    )
    _, body = _call(emperor, "GET", path)
    assert "nproc" in body
    assert "alice" not in body
    assert "alice" in _as_root(emperor, "GET", path)[1]


def test_metrics_count_what_is_its_own(emperor: FakeEmperor) -> None:
    _, body = _call(emperor, "GET", "/metrics")
    assert 'emperord_vassals{state="parked"} 2.0' in body
    assert "emperord_refused_inis 1.0" in body
    assert "emperord_start_seconds_count 0.0" in body


OF_OTHERS = [
    "alice.example", "www.alice.example", "_.wild.alice.example", "x.wild.alice.example",
    "root.example", "broken.alice.example", "broken.root.example",
]  # fmt: skip
QUESTIONS = [
    ("GET", "/v1/vassals/{}"),
    ("GET", "/v1/vassals/{}/history"),
    ("GET", "/v1/hosts/{}"),
    *(("POST", f"/v1/vassals/{{}}/{order}") for order in
      ("start", "sleep", "restart", "reload", "maintenance-on", "maintenance-off")),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), QUESTIONS, ids=" ".join)
def test_the_vassals_of_others_do_not_exist(emperor: FakeEmperor, method: str, path: str) -> None:
    status, unknown = _call(emperor, method, path.format("nobody.example"))
    assert status == 404
    for host in OF_OTHERS:
        told = _call(emperor, method, path.format(host))
        assert told == (404, unknown.replace("nobody.example", host))
    assert not emperor.events.recent(), "nothing was done"


def test_a_stand_in_tells_nothing_of_others(emperor: FakeEmperor) -> None:
    def reply(domain: str, caller: Caller) -> Reply | None:
        answer = emperor.control.reply(Question(f"/v1/vassals/{domain}", b""), caller)
        return asyncio.run_coroutine_threadsafe(answer, emperor.loop).result()

    mallory = Caller(MALLORY, is_administrator=False)
    assert reply("mallory.example", mallory)
    assert not [host for host in OF_OTHERS if reply(host, mallory)]
    assert reply("alice.example", Caller(0, is_administrator=True))


def test_it_may_order_its_own(emperor: FakeEmperor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for order, state in [
        ("start", "running"), ("restart", "running"), ("reload", "running"), ("sleep", "parked"),
    ]:  # fmt: skip
        status, body = _call(emperor, "POST", f"/v1/vassals/mallory.example/{order}")
        assert (status, json.loads(body)["status"]["state"]) == (200, state), order
        line = f"mallory.example: emperorctl {order} by uid {MALLORY}"
        assert [each for each in caplog.messages if each == line] == [line]
    detail = _json(emperor, "/v1/hosts/mallory.example")
    assert detail["last_stop"]["reason"] == f"emperorctl sleep by uid {MALLORY}"
    assert _call(emperor, "GET", "/v1/vassals/broken.mallory.example")[0] == 409


@pytest.mark.parametrize(
    ("method", "path", "what"),
    [
        ("GET", "/v1/settings", "show the settings of emperord"),
        ("POST", "/v1/rescan", "read the folder of inis again"),
        ("POST", "/v1/upgrade", "upgrade emperord"),
        ("POST", "/v1/drain", "drain"),
        ("POST", "/v1/undrain", "undrain"),
        ("POST", "/v1/vassals/mallory.example/maintenance-on", "begin a maintenance"),
        ("POST", "/v1/vassals/mallory.example/maintenance-off", "end a maintenance"),
    ],
)
def test_what_is_for_administrators_is_forbidden(
    emperor: FakeEmperor, method: str, path: str, what: str
) -> None:
    status, body = _call(emperor, method, path)
    problem = json.loads(body)
    assert (status, problem["code"]) == (403, "forbidden")
    assert problem["detail"].startswith(f"cannot {what}: that is for root and the members of")
    assert emperor.rescans == 0
    assert _json(emperor, "/v1/status")["emperor"]["instance_id"] == "first"


def test_the_numbers_of_events_tell_nothing_of_others(emperor: FakeEmperor) -> None:
    for domain in ("alice.example", "mallory.example", "alice.example"):
        _as_root(emperor, "POST", f"/v1/vassals/{domain}/restart")
    _, lines = _call(emperor, "GET", "/v1/events?follow=0")
    assert [json.loads(line)["seq"] for line in lines.splitlines()] == [1, 2]
    emperor.ends_with_events = True
    _, live = _call(emperor, "GET", "/v1/events?past=1")
    assert [json.loads(line)["seq"] for line in live.splitlines()] == [2]


def test_an_event_tells_of_own_requests_alone(emperor: FakeEmperor) -> None:
    def wake() -> None:
        for domain in ("alice.example", "mallory.example"):
            hit = Cause("hit", 0.0, "203.0.113.9", method="GET", path=f"/{domain}", agent="curl")
            emperor.governor.demand(emperor.governor.vassals[domain], hit)

    emperor.loop.call_soon_threadsafe(wake)
    eventually(lambda: any(each.name == "mallory.example" for each in emperor.events.recent()))
    _, lines = _call(emperor, "GET", "/v1/events?follow=0")
    woken = json.loads(lines.splitlines()[0])
    assert (woken["path"], woken["agent"]) == ("/mallory.example", "curl")
    assert "for GET /mallory.example, agent curl" in woken["detail"]
    assert "alice" not in lines


def test_an_order_of_roots_is_in_the_log_too(
    emperor: FakeEmperor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    _as_root(emperor, "POST", "/v1/rescan")
    assert "emperorctl rescan by uid 0" in caplog.messages


def test_its_history_is_what_happened_while_the_app_was_its_own(emperor: FakeEmperor) -> None:
    for order in ("start", "sleep"):
        assert _as_root(emperor, "POST", f"/v1/vassals/mallory.example/{order}")[0] == 200
    subject = Subject("mallory.example", ALICE)
    emperor.history.keep(Stopped(subject, PastStop(NOW, StopKind.DIED, "a secret of alice", 1.0)))
    told = _json(emperor, "/v1/vassals/mallory.example/history")
    assert [stop["kind"] for stop in told["stops"]] == ["stopped"]
    every = json.loads(_as_root(emperor, "GET", "/v1/vassals/mallory.example/history")[1])
    assert len(every["stops"]) == 2
    assert "alice" not in json.dumps(_json(emperor, "/v1/stats?domain=mallory.example"))
    emperor.caller = Caller(NOBODY, is_administrator=False)
    assert _json(emperor, "/v1/stats")["vassals"] == []
