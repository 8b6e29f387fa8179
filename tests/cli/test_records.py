"""The API's JSON becomes records, or an error that says what was wrong."""

import json
from dataclasses import replace
from typing import Any

import pytest

from emperor.cli.failure import Failed
from emperor.cli.records import parse
from emperor.model.status import Report, VassalDetail, as_json
from tests.cli.records import GOAT, detail, parked, refused, report, running, throttled

REPORT = report(running(GOAT), throttled("a.example"), inis=(refused("b.example", "why"),))


def test_a_report_comes_back_as_it_was_written() -> None:
    assert parse(Report, json.dumps(as_json(REPORT))) == REPORT


def test_a_detail_comes_back_as_it_was_written() -> None:
    full = replace(detail(running(GOAT)), aliases=("a", "b"), log_tail=("x",), predecessor_pid=1)
    bare = replace(detail(parked(GOAT)), wake=None, last_stop=None)
    assert parse(VassalDetail, json.dumps(as_json(full))) == full
    assert parse(VassalDetail, json.dumps(as_json(bare))) == bare


def test_what_a_newer_daemon_tells_in_addition_is_passed_over() -> None:
    document = as_json(REPORT)
    document["vassals"][0]["mood"] = "good"
    document["weather"] = {"rain": True}
    assert parse(Report, json.dumps(document)) == REPORT


def _with(field: str, value: Any) -> str:
    document = as_json(REPORT)
    document["vassals"][0][field] = value
    return json.dumps(document)


@pytest.mark.parametrize(
    "answer",
    [
        "", "[]", "{}", "null", "[" * 100_000, b"\xff\xfe\xfd",
        _with("state_since", "yesterday"), _with("state_since", "2026-01-01T00:00:00"),
        _with("state_since", None), _with("name", 7), _with("starts", "3"), _with("rss_bytes", []),
        _with("cpu_seconds", "1"), _with("state", "dreaming"),
    ],
)  # fmt: skip
def test_a_strange_answer_names_the_likely_cause(
    answer: str | bytes,
) -> None:
    with pytest.raises(Failed, match=r"cannot understand emperord's answer.*of one version"):
        parse(Report, answer)
