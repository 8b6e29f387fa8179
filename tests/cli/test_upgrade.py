"""`emperorctl upgrade`: what it says when a newer version took over, and when none did."""

from dataclasses import replace

from tests.cli.canned_emperor import CannedEmperor, failure
from tests.cli.conftest import Ctl


def test_it_says_which_version_has_taken_over_from_which(emperor: CannedEmperor, ctl: Ctl) -> None:
    emperor.successor = replace(emperor.report.emperor, version="0.2.0")
    told = ctl("upgrade")
    assert (told.status, told.err) == (0, "")
    assert told.out == (
        "emperord 0.2.0 has taken over from 0.1.0: pid 815 goes on, with all its apps\n"
    )


def test_the_same_version_may_take_over_for_the_sake_of_its_settings(
    emperor: CannedEmperor, ctl: Ctl
) -> None:
    emperor.successor = emperor.report.emperor
    told = ctl("upgrade")
    assert told.status == 0
    assert told.out == "emperord 0.1.0 has taken over: pid 815 goes on, with all its apps\n"


def test_one_that_cannot_start_is_a_failure_and_it_says_why(
    emperor: CannedEmperor, ctl: Ctl
) -> None:
    why = "cannot upgrade: the new version does not start: SyntaxError; all stays as it is"
    emperor.successor = failure(409, "cannot-upgrade", why)
    told = ctl("upgrade")
    assert (told.status, told.out, told.err) == (1, "", f"emperorctl: {why}\n")


def test_a_daemon_that_died_of_it_is_a_failure(emperor: CannedEmperor, ctl: Ctl) -> None:
    emperor.successor = replace(emperor.report.emperor, pid=816, version="0.2.0")
    told = ctl("upgrade")
    assert (told.status, told.out) == (1, "")
    assert told.err == (
        "emperorctl: emperord died as it was upgraded: pid 816 serves now, with version 0.2.0\n"
    )


def test_without_a_daemon_there_is_nothing_to_upgrade(ctl: Ctl) -> None:
    told = ctl("upgrade")
    assert told.status == 4
    assert "cannot reach emperord" in told.err
