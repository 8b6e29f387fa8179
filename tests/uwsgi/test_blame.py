"""Which option of an ini a complaint of uWSGI's is about."""

import pytest

from emperor.uwsgi.blame import blamed
from emperor.uwsgi.ini import Option

REFUSED = "uWSGI refuses it (exit status 1): "


def line(text: str, complaint: str) -> int:
    options = []
    for number, each in enumerate(text.splitlines(), 1):
        key, _, value = each.partition(" = ")
        options.append(Option(key, value, number))
    found = blamed(options, REFUSED + complaint)
    return found.line if found else 0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("file = a.py\nharakiri = -1", 'invalid value for option "harakiri": must be > 0'),
        (
            "harakiri = 9\nharakiri = -1\nharakiri = 5",
            'invalid value for option "harakiri": must be > 0',
        ),
        ("file = a.py\nneed-plugin = php,nosuch", 'unable to load plugin "nosuch"'),
        ("file = a.py\nini = no.ini:web", "realpath() of no.ini failed: No such file or directory"),
        ("file = a.py\ncron = 0 3 backup", "invalid cron syntax"),
        ("cron = 1 1 1 1 1 a\nchmod-socket = 999", "invalid chmod value: 999"),
        (
            "cron2 = hour=3 a\nattach-daemon2 = x",
            "--attach-daemon2: you need to specify a key",
        ),
        ("file = a.py\nharakri = 3", "[strict-mode] unknown config directive: harakri"),
    ],
)
def test_the_option_that_a_complaint_quotes_or_names_is_found(text: str, complaint: str) -> None:
    assert line(text, complaint) == 2


@pytest.mark.parametrize(
    "complaint", ["realpath() of other.ini failed: No such file or directory", "open(): no socket"]
)
def test_nothing_is_blamed_for_a_word_of_a_complaint(complaint: str) -> None:
    assert line("file = a.py\nsocket = :1\ninclude = common.ini", complaint) == 0
