"""Paths of an ini that do not exist, compared with what the real uWSGI does when it starts."""

import os
import subprocess
from pathlib import Path

import pytest

from emperor.linux.access import FileSystem
from emperor.model.spec import Identity
from emperor.uwsgi.findings import Finding
from emperor.uwsgi.ini import parse
from emperor.uwsgi.paths import unusable_paths
from emperor.uwsgi.users import users_of
from tests.eventually import PATIENCE_SECONDS
from tests.uwsgi.house import AS_ROOT, DOMAIN, OWN, spec
from tests.uwsgi.oracle import UWSGI

ROOT_USER = Identity(0, 0, "root")
APP = """\
def application(environ, start_response):
    return []
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """`vassals`, and beside it `site` with an app and a folder `run`."""
    (tmp_path / "vassals").mkdir()
    (tmp_path / "site" / "run").mkdir(parents=True)
    (tmp_path / "site" / "app.py").write_text(APP)
    return tmp_path


def findings_of(site: Path, text: str) -> list[Finding]:
    text = text.replace("SITE", str(site / "site"))
    folder = str(site / "vassals")
    ini = parse(f"[uwsgi]\n{text}\n".encode(), f"{DOMAIN}.ini", folder)
    users = users_of(ini, ROOT_USER, AS_ROOT)
    return list(unusable_paths(ini, spec(text), folder, users, FileSystem()))


def starts(site: Path, text: str) -> bool:
    """Whether uWSGI starts, and accepts requests."""
    ini = site / "vassals" / f"{DOMAIN}.ini"
    ini.write_text(f"[uwsgi]\n{text.replace('SITE', str(site / 'site'))}\n")
    done = subprocess.run(
        [UWSGI, "--socket", site / "s", "--need-app", "--hook-accepting1=callint:_exit 0",
         "--ini", ini.name],
        cwd=ini.parent, stdin=subprocess.DEVNULL, capture_output=True,
        timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    return done.returncode == 0


THERE = [
    "file = SITE/app.py",
    "wsgi-file = ../site/app.py",
    "chdir = SITE\nfile = app.py",
    "file = app.py\nchdir = /nowhere\nchdir = ../site",
    "file = /nowhere.py\nwsgi-file = SITE/app.py",
    "file = SITE/app.py\npidfile = x.pid\npidfile2 = SITE/run/x.pid",
    "chdir = SITE\nfile = app.py\npidfile = ../site/run/a\npidfile2 = run/b\nsafe-pidfile = run/c",
]

MISSING = [
    ("file = SITE/no.py", 2, "no SITE/no.py, so the app does not start"),
    ("wsgi-file = app.py", 2, "no VASSALS/app.py, so"),
    ("wsgi-file = SITE/app.py\nfile = /nowhere.py", 3, "no /nowhere.py, so"),
    ("file = SITE/app.py/app.py", 2, "no SITE/app.py/app.py, so"),
    ("file = SITE/app.py\nchdir = /nowhere", 3, "no folder /nowhere, so the app does not start"),
    ("chdir = SITE/app.py\nfile = app.py", 2, "no folder SITE/app.py, so"),
    ("chdir = SITE\nfile = ../site/no.py", 3, "no SITE/../site/no.py, so"),
    ("file = SITE/app.py\npidfile = /nowhere/x", 3, "no folder /nowhere, so"),
    ("pidfile2 = run/x\nfile = SITE/app.py", 2, "no folder VASSALS/run, so"),
    ("chdir = SITE\nfile = app.py\npidfile = run/x", 4, "no folder VASSALS/run, so"),
    ("file = SITE/app.py\nsafe-pidfile2 = no/x", 3, "no folder VASSALS/no, so"),
    *(
        (f"file = SITE/app.py\n{key} =", 3, f"{key} is empty, so the app does not start")
        for key in (
            "pidfile",
            "pidfile2",
            "safe-pidfile",
            "safe-pidfile2",
            "logto",
            "logto2",
            "master-fifo",
            "chdir",
            "chdir2",
            "metrics-dir",
            "spooler",
            "envdir",
        )
    ),
]


@pytest.mark.parametrize("text", THERE)
def test_a_path_that_uwsgi_finds_gets_no_finding(site: Path, text: str) -> None:
    assert starts(site, text)
    assert findings_of(site, text) == []


@pytest.mark.parametrize(("text", "line", "expected"), MISSING)
def test_a_missing_path_gets_a_finding_with_its_line(
    site: Path, text: str, line: int, expected: str
) -> None:
    assert not starts(site, text)
    (finding,) = findings_of(site, text)
    expected = expected.replace("SITE", str(site / "site")).replace(
        "VASSALS", str(site / "vassals")
    )
    assert expected in finding.text
    assert (finding.line, finding.cure != "") == (line, True)


def test_a_callable_behind_a_colon_gets_its_own_key_as_cure(site: Path) -> None:
    assert not starts(site, "file = SITE/app.py:application")
    (finding,) = findings_of(site, "file = SITE/app.py:application")
    assert finding.cure == f"write file = {site}/site/app.py, and callable = application"


@pytest.mark.parametrize(
    "text",
    [
        "base = /nowhere\nchdir = %(base)\nfile = app.py\npidfile2 = run/x",
        "file = $(HOME)/app.py",
        "file = http://127.0.0.1/app.py",
        "pidfile = @(where)",
    ],
)
def test_a_path_that_only_uwsgi_can_resolve_gets_no_finding(site: Path, text: str) -> None:
    assert findings_of(site, text) == []


def test_a_path_that_we_may_not_look_at_gets_no_finding(site: Path) -> None:
    os.seteuid(65534)
    try:
        assert findings_of(site, "file = SITE/no.py") == []
    finally:
        os.seteuid(0)


def test_no_pidfile_is_written_for_gevent_and_the_like(site: Path) -> None:
    assert findings_of(site, f"socket = {OWN}\ngevent = 9\npidfile = /nowhere/x") == []
