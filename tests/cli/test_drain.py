"""`emperorctl drain` and `undrain`: what they order, and what they say comes next."""

from tests.cli.canned_emperor import NOW, CannedEmperor
from tests.cli.conftest import Ctl


def test_drain_says_since_when_and_what_comes_next_however_often_it_is_asked_for(
    emperor: CannedEmperor, ctl: Ctl
) -> None:
    first = ctl("drain")
    assert (first.status, first.err) == (0, "")
    assert emperor.report.emperor.draining == NOW
    local = NOW.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    assert first.out.startswith(f"Draining since {local}.\n")
    for word in ("503", "elsewhere", "emperorctl status", "emperorctl undrain"):
        assert word in first.out
    assert ctl("drain").out == first.out


def test_undrain_says_that_requests_come_back(emperor: CannedEmperor, ctl: Ctl) -> None:
    ctl("drain")
    for _ in range(2):
        told = ctl("undrain")
        assert told.status == 0
        assert told.out.startswith("Serving.")
    assert emperor.report.emperor.draining is None


def test_neither_takes_a_domain(ctl: Ctl) -> None:
    assert ctl("drain", "a.example").status == 2
    assert ctl("undrain", "a.example").status == 2
