"""`emperorctl upgrade`: what it says when a newer version took over, and when none did."""

from dataclasses import replace

import pytest

from emperor.cli.failure import Failed
from emperor.cli.upgrade import outcome
from tests.cli.conftest import Ctl
from tests.cli.fake_emperor import FakeEmperor
from tests.cli.records import EMPEROR


def test_it_says_which_version_has_taken_over(emperor: FakeEmperor, ctl: Ctl) -> None:
    emperor.next_version = "0.2.0"
    result = ctl("upgrade")
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith("emperord 0.2.0 has taken over from 0.1.0: pid ")
    assert result.out.endswith(" goes on, with all its apps\n")


def test_the_same_version_may_take_over_with_other_settings(emperor: FakeEmperor, ctl: Ctl) -> None:
    result = ctl("upgrade")
    assert result.status == 0
    assert result.out.startswith("emperord 0.1.0 has taken over: pid ")


def test_a_version_that_cannot_start_fails_with_the_reason(emperor: FakeEmperor, ctl: Ctl) -> None:
    emperor.cannot_upgrade = "the new version does not start: SyntaxError"
    result = ctl("upgrade")
    assert (result.status, result.out) == (1, "")
    assert result.err == (
        "emperorctl: cannot upgrade: the new version does not start: SyntaxError;"
        " all stays as it is\n"
    )


def test_an_exec_that_fails_after_the_answer_is_noticed(emperor: FakeEmperor, ctl: Ctl) -> None:
    emperor.does_exec = False
    result = ctl("upgrade")
    assert (result.status, result.out) == (1, "")
    assert result.err == (
        "emperorctl: emperord could not run the new version: see the log of emperord\n"
    )


def test_a_daemon_that_died_of_it_is_a_failure() -> None:
    other = replace(EMPEROR, pid=816, version="0.2.0", instance_id="second")
    with pytest.raises(Failed, match=r"died as it was upgraded: pid 816 .* version 0\.2\.0"):
        outcome(EMPEROR, other)


def test_without_a_daemon_there_is_nothing_to_upgrade(ctl: Ctl) -> None:
    result = ctl("upgrade")
    assert result.status == 4
    assert "cannot reach emperord" in result.err
