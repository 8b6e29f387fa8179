"""Numbers and switches that uWSGI reads otherwise than they look."""

import subprocess

import pytest

from emperor.uwsgi.misread import NUMBERS, SWITCHES, misread_values
from tests.uwsgi.house import ini_of
from tests.uwsgi.oracle import UWSGI


@pytest.mark.parametrize(
    ("option", "text", "cure"),
    [
        (
            "harakiri = 5m",
            "harakiri = 5m counts as 5: uWSGI reads only the digits of",
            "= 300, in s",
        ),
        ("max-requests = 5k", "max-requests = 5k counts as 5:", "write a whole number"),
        ("buffer-size = 64k", "counts as 64:", "write buffer-size = 65536, in bytes"),
        ("post-buffering = 1M", "counts as 1:", "write post-buffering = 1048576, in bytes"),
        ("reload-on-rss = 1g", "counts as 1:", "write reload-on-rss = 1024, in megabytes"),
        ("threads = two", "counts as 0:", "write a whole number"),
        ("worker-reload-mercy = 1.5", "counts as 1:", "write a whole number"),
        ("master = ture", "counts as true,", "write master = true, or master = false"),
        ("vacuum = disabled", "counts as true,", "vacuum = false"),
        ("disable-logging = n", "counts as true,", "disable-logging = false"),
    ],
)
def test_a_misread_value_gets_the_right_one(option: str, text: str, cure: str) -> None:
    (finding,) = misread_values(ini_of(option))
    assert text in finding.text
    assert cure in finding.cure


@pytest.mark.parametrize(
    "option",
    ["harakiri = 300", "processes = %k", "master = True", "vacuum", "threads = $(N)", "lazy = OFF"],
)
def test_a_value_that_is_read_as_it_looks_gets_none(option: str) -> None:
    assert list(misread_values(ini_of(option))) == []


def test_the_tables_name_options_of_uwsgi() -> None:
    done = subprocess.run([UWSGI, "--dump-options"], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) >= NUMBERS | SWITCHES
