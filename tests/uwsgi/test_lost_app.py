"""An ini that lost its app is refused, and the error says which line lost it."""

import pytest

from emperor.model.definition import BrokenIni
from emperor.uwsgi.findings import Severity
from emperor.uwsgi.lint import lint, refuse_unservable
from tests.uwsgi.house import OWN, SETTINGS, ini_of, spec

SOMAXCONN = 4096


def error_of(text: str) -> BrokenIni:
    with pytest.raises(BrokenIni) as caught:
        refuse_unservable(ini_of(text), spec(text), SETTINGS, SOMAXCONN)
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "text_part", "cure_part"),
    [
        ("idle = 5\n;file = /srv/a.py", 3, "';file = /srv/a.py' is a comment", "drop the ;"),
        ("# module = a:app\nidle = 5", 2, "'# module = a:app' is a comment", "drop the #"),
        ("idle = 5\nmodul = a:app", 3, "'modul' is no option", "write module = a:app"),
        ("Module = a:app", 2, "'Module' is no option", "write module = a:app"),
        ("wsgi_file = a.py", 2, "'wsgi_file' is no option", "write wsgi-file = a.py"),
        ("fiel = a.py", 2, "'fiel' is no option", "write file = a.py"),
        ("module: a:app", 2, "'module: a:app' is no option", "write module = a:app"),
        ("idle = 5\n[uwsgi-live]\nfile = a.py", 4, "in the section [uwsgi-live]", "move it"),
        ("idle = 5\nmule = a.py\nstats = s", 0, "it ends at line 4", "cut short"),
    ],
)
def test_the_line_that_lost_the_app_is_named(
    text: str, line: int, text_part: str, cure_part: str
) -> None:
    error = error_of(text)
    assert error.line == line
    assert text_part in error.cause
    assert cure_part in error.cure


@pytest.mark.parametrize("text", ["file = a.py\n;module = b:app", "static-index = a", "cgi = /"])
def test_an_ini_that_answers_is_not_refused(text: str) -> None:
    refuse_unservable(ini_of(text), spec(text), SETTINGS, SOMAXCONN)


def test_every_prefix_of_an_ini_is_judged_without_a_fault() -> None:
    whole = f"chdir = /srv\nsocket = {OWN}\nmaster = true\nmodule = a:app\nvacuum = true"
    for length in range(2, len(whole)):
        text = whole[:length]
        ini = ini_of(text)
        if text.rpartition("\n")[2].rstrip(" =") == "socket":
            with pytest.raises(BrokenIni, match="socket is empty"):
                spec(text)
            continue
        lint(ini, spec(text) if "socket = " not in text else spec(whole), SETTINGS, SOMAXCONN)


def test_what_check_calls_an_error_is_what_the_daemon_refuses() -> None:
    for text in ("emperor = /srv", "zerg = /s", "idle = 5"):
        findings = lint(ini_of(text), spec(text), SETTINGS, SOMAXCONN)
        first = next(each for each in findings if each.severity is Severity.ERROR)
        error = error_of(text)
        assert (error.line, error.cause, error.cure) == (first.line, first.text, first.cure)


def test_few_lines_of_a_filled_ini_are_compared() -> None:
    filled = "".join(f"x{number} = 1\n" for number in range(6000))
    assert error_of(f"modul = a:app\n{filled}").line == 2
    assert error_of(f"{filled}modul = a:app").line == 0
