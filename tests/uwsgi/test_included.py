"""What a tenant's files and processes can do to `emperorctl check`."""

import os
from pathlib import Path

import pytest

from emperor.model.spec import Identity
from emperor.uwsgi import included
from emperor.uwsgi.apps import LoadProblem, problems_in
from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.included import located
from emperor.uwsgi.ini import Ini, Option


async def test_an_included_pipe_does_not_hold_check_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(included, "READ_SECONDS", 0.2)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "more.ini").write_text("[uwsgi]\nidle = 5\n")
    options = (
        Option("include", "pipe", 2),
        Option("include", "more.ini", 3),
        Option("idle", "5", -1),
    )
    finding = Finding(-1, Severity.NOTE, "it sleeps", "")
    reader = Identity(os.geteuid(), os.getegid(), None)
    ini = Ini("a.example.ini", options, ())
    (found,) = await located([finding], [ini], str(tmp_path), reader)
    assert found.text == f"it sleeps ({tmp_path}/more.ini, line 2)"


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        (
            '{"number": 0, "code": "syntax", "name": "", "source": "/a.py", "line": 3}\n',
            [LoadProblem(0, "syntax", "", "/a.py", 3)],
        ),
        ('{"number": 2, "code": "syntax", "name": "", "source": "/a.py", "line": 3}\n', []),
        ('{"number": -1, "code": "syntax", "name": "", "source": "/a.py", "line": 3}\n', []),
        ('{"number": 0, "code": "other", "name": "", "source": "/a.py", "line": 3}', []),
        ('{"number": 0, "code": "syntax"}', []),
        ('{"number": 0, "code": "syntax", "name": 3, "source": [], "line": "x"}', []),
        ("rubbish", []),
        ('{"more": ' + "[" * 10_000, []),
        ("\n", []),
    ],
)
def test_a_forged_answer_about_a_source_is_dropped(
    printed: str, expected: list[LoadProblem]
) -> None:
    assert list(problems_in(printed, 2)) == expected
