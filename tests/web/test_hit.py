"""What nginx says about a request, some of which visitors have written."""

import pytest

from emperor.web.hit import Hit


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", True),
        ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", False),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n", False),
        ("00-4bf92f-01", False),
        ("", False),
    ],
)
def test_a_traceparent_is_kept_if_it_is_one(sent: str, kept: bool) -> None:
    cause = Hit.of({"X-Traceparent": sent}).cause(0.0)
    assert cause.traceparent == (sent if kept else None)


def test_a_header_of_a_visitor_is_short_and_printable() -> None:
    hit = Hit.of({"X-Original-Path": "/\x1b[2J\u202e\udcff", "X-Original-Agent": "a" * 5_000})
    assert hit.path == "/\ufffd[2J\ufffd\ufffd"
    assert hit.agent == "a" * 200
    assert hit.method is None
