"""What the options of uWSGI's own Emperor are here."""

import re
import subprocess
from pathlib import Path

import pytest

from emperor.model.settings import KEYS
from emperor.uwsgi.emperor_options import EMPEROR_OPTIONS, EXPLAINED, Support
from emperor.uwsgi.findings import Severity
from emperor.uwsgi.lint import lint
from emperor.uwsgi.spec import EMPEROR_KEYS
from emperor.uwsgi.unknown import unknown_options
from tests.uwsgi.house import OWN, SETTINGS, ini_of, spec
from tests.uwsgi.oracle import UWSGI

DEBIANS = Path("/usr/bin/uwsgi-core")
PAGE = Path(__file__).parents[2] / "docs" / "from-uwsgi.md"
OF_THE_EMPEROR = re.compile(
    r"(?:early-)?emperor(?:-.+)?|vassals?-.+|hook-emperor-.+|.+-as-(?:vassal|emperor)\d?"
    r"|.*on-demand.*|spawn-asap"
)


@pytest.mark.parametrize("uwsgi", [UWSGI, DEBIANS], ids=lambda path: path.name)
def test_every_option_of_the_emperor_is_explained(uwsgi: Path) -> None:
    printed = subprocess.run([uwsgi, "--dump-options"], check=True, capture_output=True, text=True)
    options = [key for key in printed.stdout.split() if OF_THE_EMPEROR.fullmatch(key)]
    assert len(options) > 50
    assert [key for key in options if key not in EXPLAINED] == []


def test_every_option_is_explained_once_and_in_the_page() -> None:
    names = [name for option in EMPEROR_OPTIONS for name in option.names]
    assert len(names) == len(set(names))
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in names if f"`{name}`" not in page] == []


def test_what_is_mapped_names_a_setting_or_a_command() -> None:
    known = {key.name for key in KEYS} | EMPEROR_KEYS | {"socket", "emperorctl"}
    for option in EMPEROR_OPTIONS:
        if option.support is Support.MAPPED:
            assert set(re.findall(r"[a-z-]+", option.here)) & known, option


@pytest.mark.parametrize("key", sorted(EXPLAINED.keys() - {"emperor"}))
def test_each_is_accepted_or_named_by_check(key: str) -> None:
    text = f"socket = {OWN}\nfile = /srv/app.py\n{key} = 1\n[emperor]\nuid = alice"
    ini = ini_of(text)
    assert unknown_options(ini, {"socket", "file"}) == []
    found = [each for each in lint(ini, spec(text), SETTINGS, 4096) if each.line == 4]
    if EXPLAINED[key].support is Support.VASSAL:
        assert found == []
    else:
        (finding,) = found
        assert finding.severity is Severity.NOTE
        assert finding.text.startswith(f"{key} is for uWSGI's Emperor")
        assert "`" not in finding.cure
