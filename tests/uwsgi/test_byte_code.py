"""What the program that compiles has printed is the word of a tenant."""

import json

import pytest

from emperor.uwsgi.byte_code import CompileOutcome, outcome_in

_GOOD = {"compiled": 3, "current": 2, "broken": 1, "stopped": "", "others": [0]}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, CompileOutcome(3, 2, 1, "", (0,))),
        ({"stopped": "a\nb  c"}, CompileOutcome(3, 2, 1, "a b c", (0,))),
        ({"stopped": "x" * 300}, CompileOutcome(3, 2, 1, "x" * 200, (0,))),
        ({"others": [*range(99)]}, CompileOutcome(3, 2, 1, "", (0, 1, 2))),
        ({"others": [2**40]}, None),
        ({"compiled": 2**60}, None),
        ({"compiled": "3"}, None),
    ],
)  # fmt: skip
def test_an_answer_is_taken_as_far_as_it_can_be_true(
    changes: dict[str, object], expected: CompileOutcome | None
) -> None:
    assert outcome_in(json.dumps(_GOOD | changes).encode() + b"\n") == expected


def test_another_line_before_it_is_no_harm() -> None:
    assert outcome_in(b"a warning\n" + json.dumps(_GOOD).encode()) is not None


# No decoder gets through.
_NESTED = b'{"more": ' + b"[" * 10_000


@pytest.mark.parametrize("printed", [b"", b"\n", b"{}", b"killed\n", b"\xff", _NESTED])
def test_anything_else_is_no_answer(printed: bytes) -> None:
    assert outcome_in(printed) is None
