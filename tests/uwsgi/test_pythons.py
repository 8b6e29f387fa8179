"""Which uWSGI, and so which Python, an ini gets."""

import sys
from pathlib import Path
from typing import Any

import pytest

from emperor.model.definition import BrokenIni
from emperor.model.section import SettingsError
from emperor.model.settings import read_settings
from emperor.uwsgi.options import UwsgiOptions, uwsgi_options
from emperor.uwsgi.pythons import OWN_VERSION, own_python_home
from tests.uwsgi.house import ALICE, SETTINGS, spec

APP = "file = /srv/app.py"


def options(text: str, **changes: Any) -> UwsgiOptions:
    """The options of an app with these lines, which a tenant owns."""
    return uwsgi_options(spec(f"{APP}\n{text}", ALICE, **changes))


def pythons(text: str) -> object:
    """The setting as it is parsed."""
    return read_settings("", "emperord.ini", {"pythons": text}).pythons


def test_a_plain_ini_leaves_both_to_the_launcher() -> None:
    assert (options("").binary, options("").python_home) == ("", None)


def test_our_uwsgi_gets_the_home_that_our_environment_has() -> None:
    assert own_python_home(Path(sys.executable).with_name("uwsgi")) == sys.base_prefix
    assert own_python_home(Path("/usr/bin/uwsgi")) == ""


def test_a_tenant_chooses_a_listed_python_by_its_name() -> None:
    listed = pythons("3.8:/opt/a/uwsgi 3.9:/opt/b/uwsgi")
    chosen = options("[emperor]\npython = 3.9", pythons=listed)
    assert (chosen.binary, chosen.python_home) == ("/opt/b/uwsgi", "")
    own = options(f"[emperor]\npython = {OWN_VERSION}", pythons=listed)
    assert (own.binary, own.python_home) == ("", None)


@pytest.mark.parametrize("name", ["/opt/a/uwsgi", "3.1", "", "../uwsgi", "3.8:/opt/a/uwsgi"])
def test_any_other_name_is_refused(name: str) -> None:
    with pytest.raises(BrokenIni, match="there is no Python") as caught:
        options(f"[emperor]\npython = {name}", pythons=pythons("3.8:/opt/a/uwsgi"))
    assert caught.value.line == 4
    assert caught.value.cure == "have root add it to `pythons` in emperord.ini"


def test_another_default_binary_has_no_version_by_default() -> None:
    with pytest.raises(BrokenIni, match="there is none"):
        options(f"[emperor]\npython = {OWN_VERSION}", uwsgi_binary=Path("/usr/bin/uwsgi"))


def test_only_an_ini_of_roots_names_a_binary() -> None:
    text = f"{APP}\n[emperor]\nuwsgi-binary = /opt/a/uwsgi"
    assert uwsgi_options(spec(text)).binary == "/opt/a/uwsgi"
    with pytest.raises(BrokenIni, match="root's alone"):
        spec(text, ALICE)
    with pytest.raises(BrokenIni, match="relative"):
        spec(f"{APP}\n[emperor]\nuwsgi-binary = uwsgi")


@pytest.mark.parametrize(
    ("text", "home"),
    [
        ("[emperor]\npython-home = /srv/venv", "/srv/venv"),
        ("env = PYTHONHOME=/opt/python", "/opt/python"),
        ("env = PYTHONHOME=/opt/a\nenv = PYTHONHOME=/opt/b", "/opt/b"),
        ("env = PYTHONHOME=", "/srv/common"),
        ("env = PYTHONHOME=/opt/a\nenv = PYTHONHOME=", "/srv/common"),
        ("env = PYTHONPATH=/srv", "/srv/common"),
        ("py-programname = /srv/venv/bin/python", ""),
        ("py-program-name = /srv/venv/bin/python", ""),
        ("virtualenv = /srv/venv", "/srv/common"),
    ],
)
def test_the_home_of_python_is_the_nearest_that_is_named(text: str, home: str) -> None:
    assert options(text, python_home=Path("/srv/common")).python_home == home


def test_a_relative_home_is_refused() -> None:
    with pytest.raises(BrokenIni, match="python-home = venv is relative"):
        options("[emperor]\npython-home = venv")


@pytest.mark.parametrize("text", ["3.12", "3.12:", ":/opt/a", "3.12:uwsgi", "a:/opt/a a:/opt/b"])
def test_a_bad_list_of_pythons_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="cannot use pythons"):
        pythons(text)


def test_no_python_is_listed_by_default() -> None:
    assert (SETTINGS.pythons, SETTINGS.python_home) == ((), None)
