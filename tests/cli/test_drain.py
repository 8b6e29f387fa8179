"""`emperorctl drain` and `undrain`: what they order, and what they say comes next."""

import json
from datetime import datetime

from tests.cli.conftest import Ctl
from tests.cli.fake_emperor import FakeEmperor


def _since(ctl: Ctl) -> str | None:
    since: str | None = json.loads(ctl("status", "--json").out)["emperor"]["draining_since"]
    return since


def test_drain_says_since_when_and_what_comes_next(emperor: FakeEmperor, ctl: Ctl) -> None:
    first = ctl("drain")
    assert (first.status, first.err) == (0, "")
    since = _since(ctl)
    assert since is not None
    local = datetime.fromisoformat(since).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    assert first.out.startswith(f"Draining since {local}.\n")
    for word in ("503", "elsewhere", "emperorctl status", "emperorctl undrain"):
        assert word in first.out
    assert ctl("drain").out == first.out, "it began then, however often it is asked for"


def test_a_drain_that_cannot_be_noted_fails(emperor: FakeEmperor, ctl: Ctl) -> None:
    (emperor.run_dir / "draining").mkdir()
    result = ctl("drain")
    assert result.status == 1
    assert result.err == "emperorctl: cannot drain: cannot write to run-dir: Is a directory\n"


def test_undrain_says_that_requests_come_back(emperor: FakeEmperor, ctl: Ctl) -> None:
    ctl("drain")
    for _ in range(2):
        result = ctl("undrain")
        assert result.status == 0
        assert result.out.startswith("Serving.")
    assert _since(ctl) is None


def test_neither_takes_a_domain(ctl: Ctl) -> None:
    assert ctl("drain", "a.example").status == 2
    assert ctl("undrain", "a.example").status == 2
