"""What `emperorctl bases` prints."""

from datetime import UTC, datetime

from emperor.cli.bases import told
from emperor.model.bases_report import BasesReport, WithoutBase

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_virtual_environment_without_a_base_is_named() -> None:
    refused = (WithoutBase("/srv/venv", "alice", "it did not import\nwithin 60 s"),)
    lines = [*told(BasesReport((), None, refused), False, NOW)]
    assert lines == [
        "There is none at this moment. Apps start by exec until one is made.",
        "/srv/venv as alice",
        "  has no base: it did not import within 60 s",
    ]


def test_it_says_why_no_virtual_environment_has_one() -> None:
    *_, last = told(BasesReport((), None, (), "bases = standard"), False, NOW)
    assert last == "No virtual environment has one: bases = standard."
