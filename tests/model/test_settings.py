"""What emperord.ini may say, and how a wrong one is told: file, line, cause, cure."""

import pytest

from emperor.model.settings import SettingsError, read_settings

FILE = "/etc/uwsgi/emperord.ini"


def said_of(text: str, **flags: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read_settings(text, FILE, {name.replace("_", "-"): value for name, value in flags.items()})
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "# mine\nidle = 5\n",
            "cannot read FILE: line 2: 'idle = 5' stands before any section; put a line [emperord]"
            " above it",
        ),
        (
            "[emperord]\nidle = 5\nneed app\n",
            "cannot read FILE: line 3: 'need app' is no setting; write key = value",
        ),
        (
            "[emperord]\nidle = 5\x0b\u2028\r\nwhat\x1b\r\n",
            "cannot read FILE: line 3: 'what\\x1b' is no setting; write key = value",
        ),
        (
            "[emperord]\nidle = 5\n\nidle = 6\n",
            "cannot read FILE: line 4: idle is set a second time; keep one of the two",
        ),
        (
            "[emperord]\nidle = 5\n[other]\n[emperord]\n",
            "cannot read FILE: line 4: [emperord] begins a second time; put its keys together",
        ),
        (
            "[other]\nidel = 1\n[emperord]\n; comment\nIdel = 5\n",
            "cannot read FILE: line 5: there is no key 'idel'; did you mean idle?",
        ),
        (
            "[emperord]\nfrobnicate: 5\n",
            "cannot read FILE: line 2: there is no key 'frobnicate'; see emperord(8) for those that"
            " there are",
        ),
        (
            "[emperord]\nvassals-dir = /srv\nidle = never\n",
            "cannot use idle = 'never' from FILE, line 3: must be a whole number of seconds, 0 or"
            " more",
        ),
        (
            "[emperord]\nbacklog = many\n",
            "cannot use backlog = 'many' from FILE, line 2: must be a number from 1 to 65535",
        ),
        (
            "[emperord]\nmax-starting = -1\n",
            "cannot use max-starting = '-1' from FILE, line 2: must be a number, 0 for no bound",
        ),
        (
            "[emperord]\nsocket-mode = rw-rw----\n",
            "cannot use socket-mode = 'rw-rw----' from FILE, line 2: must be an octal mode such as"
            " 0660",
        ),
        (
            "[emperord]\nprovision-command = it's\n",
            'cannot use provision-command = "it\'s" from FILE, line 2: must be a command as a shell'
            " takes it: No closing quotation",
        ),
    ],
)
def test_a_wrong_file_is_told_with_line_cause_and_cure(text: str, told: str) -> None:
    assert said_of(text) == told.replace("FILE", FILE)


@pytest.mark.parametrize("backlog", ["0", "65536", "-1", "4096.0", "1_000"])
def test_a_backlog_is_a_number_that_the_kernel_takes(backlog: str) -> None:
    assert "must be a number from 1 to 65535" in said_of("", backlog=backlog)


@pytest.mark.parametrize("mode", ["1000", "0o660", "888", "-1", ""])
def test_a_mode_is_octal(mode: str) -> None:
    assert "must be an octal mode" in said_of("", socket_mode=mode)


@pytest.mark.parametrize("time", ["86401", "1e305", "inf", "nan", "-1", "soon"])
def test_nothing_is_waited_for_longer_than_a_day(time: str) -> None:
    assert "must be a number of seconds, 0 to 86400" in said_of("", stop_timeout=time)


def test_a_flag_is_named_in_place_of_the_file_that_it_overrules() -> None:
    assert said_of("[emperord]\nidle = 5\n", idle="x").startswith(
        "cannot use idle = 'x' from --idle: must be"
    )


def test_other_sections_and_no_section_are_no_error() -> None:
    assert read_settings("", FILE, {}) == read_settings("[other]\nidel = 5\n", FILE, {})
