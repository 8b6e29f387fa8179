"""What emperord.ini may contain. An error names the file, the line, the cause and the cure."""

import pytest

from emperor.model.duration import FORMS
from emperor.model.section import SettingsError
from emperor.model.settings import read_settings, spelled

FILE = "/etc/uwsgi/emperord.ini"


def error_of(text: str, **flags: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read_settings(text, FILE, {name.replace("_", "-"): value for name, value in flags.items()})
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
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
            "cannot read FILE: line 2: there is no key 'frobnicate'; emperord(8) lists the keys",
        ),
        (
            "[emperord]\nvassals-dir = /srv\nidle = never\n",
            "cannot use idle = 'never' from FILE, line 3: must be a duration such as"
            " 26h, 1h30m, 90s or 500ms, or a number of seconds",
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
            "[emperord]\nlog-max-size = 1 MB\n",
            "cannot use log-max-size = '1 MB' from FILE, line 2: must be a size such as 100M, 0 for"
            " no bound",
        ),
        (
            "[emperord]\nsocket-mode = rw-rw----\n",
            "cannot use socket-mode = 'rw-rw----' from FILE, line 2: must be an octal mode such as"
            " 0660",
        ),
        (
            "[emperord]\nnotify-command = mail root\n",
            "cannot use notify-command = 'mail root' from FILE, line 2: must begin with the"
            " absolute path of a program",
        ),
        (
            "[emperord]\nnotify-url = https://a.example\n",
            "cannot use notify-url: nobody could tell a notice from a forged one; set"
            " notify-secret-file",
        ),
        (
            "[emperord]\nprovision-command = it's\n",
            'cannot use provision-command = "it\'s" from FILE, line 2: must be a command in shell'
            " syntax: No closing quotation",
        ),
    ],
)
def test_an_error_in_the_file_names_line_cause_and_cure(text: str, message: str) -> None:
    assert error_of(text) == message.replace("FILE", FILE)


@pytest.mark.parametrize("backlog", ["0", "65536", "-1", "4096.0", "1_000"])
def test_a_backlog_is_a_number_that_the_kernel_takes(backlog: str) -> None:
    assert "must be a number from 1 to 65535" in error_of("", backlog=backlog)


@pytest.mark.parametrize("mode", ["1000", "0o660", "888", "-1", ""])
def test_a_mode_is_octal(mode: str) -> None:
    assert "must be an octal mode" in error_of("", socket_mode=mode)


DAY_AT_MOST = [
    "start-timeout", "stop-timeout", "throttle-first", "throttle-max", "page-after",
    "provision-timeout",
]  # fmt: skip


@pytest.mark.parametrize("key", DAY_AT_MOST)
@pytest.mark.parametrize("time", ["86400.001", "25h", "1d1ms", "9999999999"])
def test_a_duration_is_a_day_at_most(key: str, time: str) -> None:
    assert error_of("", **{key: time}).endswith(
        f"{key} = {time!r} from --{key}: must be at most 1d"
    )


@pytest.mark.parametrize("key", [*DAY_AT_MOST, "idle"])
@pytest.mark.parametrize("time", ["1e305", "inf", "-1", "soon"])
def test_every_duration_names_the_forms_that_it_takes(key: str, time: str) -> None:
    assert error_of("", **{key: time}).endswith(f": must be {FORMS}")


@pytest.mark.parametrize("key", [key for key in DAY_AT_MOST if key != "page-after"])
def test_a_timeout_or_delay_is_more_than_0(key: str) -> None:
    assert error_of("", **{key: "0s"}).endswith(": must be more than 0 seconds")


@pytest.mark.parametrize("text", ["26h", "1d2h", "93600", "93600s", "1560m"])
def test_durations_are_written_in_units_or_in_seconds(text: str) -> None:
    settings = read_settings(f"[emperord]\nidle = {text}\n", FILE, {"start-timeout": "1h30m"})
    assert (settings.idle, settings.start_timeout) == (93_600, 5400)


@pytest.mark.parametrize(
    ("idle", "message"),
    [
        ("1.5", "must be a whole number of seconds"),
        ("1500ms", "must be a whole number of seconds"),
        ("24856d", "must be less than 2147483648 seconds"),
    ],
)
def test_idle_is_a_number_of_seconds_that_uwsgi_takes(idle: str, message: str) -> None:
    assert error_of("", idle=idle).endswith(f": {message}")
    assert read_settings("", FILE, {"idle": "2147483647"}).idle == 2**31 - 1


def test_a_flag_is_named_in_place_of_the_file_that_it_overrules() -> None:
    assert error_of("[emperord]\nidle = 5\n", idle="x").startswith(
        "cannot use idle = 'x' from --idle: must be"
    )


def test_other_sections_and_no_section_are_no_error() -> None:
    assert read_settings("", FILE, {}) == read_settings("[other]\nidel = 5\n", FILE, {})


@pytest.mark.parametrize(
    "url",
    ["ftp://a.example", "https://", "a.example/x", "https://a.example:x/", "https://a b/",
     "https://a.example/\x1b", "https://\N{SNOWMAN}.example", "https://[::1", "http:///x"],
)  # fmt: skip
def test_a_url_is_one_of_http(url: str) -> None:
    assert "must be a URL such as https://" in error_of("", **{"notify-url": url})


def test_settings_are_spelled_as_they_are_read() -> None:
    flags = {
        "throttle-first": "0.5", "socket-mode": "640", "need-app": "no", "max-starting": "3",
        "provision-command": "make 'an ini'", "activation": "socket", "uwsgi-binary": "/bin/uwsgi",
        "notify-command": "/bin/mail 'the admin'", "notify-url": "https://a.example:8443/b?c=d",
        "notify-secret-file": "/etc/secret",
        "pythons": "3.9:/opt/a/uwsgi 3.12:/opt/b/uwsgi",
    }  # fmt: skip
    for given in ({}, flags):
        settings = read_settings("", "emperord.ini", given)
        assert read_settings("", "emperord.ini", spelled(settings)) == settings
