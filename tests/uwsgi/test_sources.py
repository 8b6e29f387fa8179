"""Which folders have the sources of an app, by its ini."""

from dataclasses import replace

import pytest

from emperor.uwsgi.options import UwsgiOptions
from emperor.uwsgi.sources import Sources, sources_of
from tests.uwsgi.house import SETTINGS, ini_of

_INIS = "/etc/uwsgi/vassals"


def found(text: str, **options: str) -> Sources | None:
    return sources_of(ini_of(text), _INIS, replace(UwsgiOptions(), **options), SETTINGS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "folders"),
    [
        ("file = /srv/a/application.py", ("/srv/a",)),
        ("chdir = /srv/a\nmodule = site.wsgi", ("/srv/a",)),
        ("chdir = /srv/a\nwsgi-file = sub/app.py", ("/srv/a", "/srv/a/sub")),
        ("chdir = /srv/a/sub\npythonpath = ..", ("/srv/a/sub", "/srv/a")),
        ("module = app\npythonpath = /srv/*/lib\npythonpath = /srv/b", ("/srv/b",)),
        ("module = app\nenv = PYTHONPATH=/srv/a:/srv/b", ("/srv/a", "/srv/b")),
        ("mount = /x=/srv/a/app.py", ("/srv/a",)),
        ("mount = /x=app:application", ()),
        # All inis, all apps, and what the package manager compiles.
        ("file = app.py", ()),
        ("chdir = /\nmodule = app", ()),
        ("chdir = /srv\nmodule = app", ()),
        ("chdir = /srv/a/../..\nmodule = app", ()),
        ("module = app\npythonpath = /usr/lib/python3/dist-packages", ()),
        ("module = app\npythonpath = /usr/local/lib/app", ("/usr/local/lib/app",)),
    ],
)  # fmt: skip
def test_the_folders_of_an_app(text: str, folders: tuple[str, ...]) -> None:
    sources = found(text)
    assert sources is not None
    assert sources.folders == folders


@pytest.mark.parametrize(
    "text",
    [
        "chroot = /srv/a\nfile = /app.py", "chdir = $(HOME)\nfile = app.py",
        "file = /srv/a/app.py\nenv = PYTHONDONTWRITEBYTECODE=1",
    ],
)  # fmt: skip
def test_an_app_that_is_not_compiled(text: str) -> None:
    assert found(text) is None


@pytest.mark.parametrize(
    ("text", "options", "packages"),
    [
        ("home = /srv/v", {}, ("/srv/v/lib/python3.11/site-packages",)),
        ("chdir = /srv/a\nvirtualenv = v", {}, ("/srv/a/v/lib/python3.11/site-packages",)),
        ("file = /srv/a/x.py", {"python_home": "/srv/v"}, ("/srv/v/lib/python3.11/site-packages",)),
        ("file = /srv/a/x.py", {"python_home": "/usr"}, ()),
        ("file = /srv/a/x.py", {}, ()),
    ],
)  # fmt: skip
def test_the_packages_of_an_app(
    text: str, options: dict[str, str], packages: tuple[str, ...]
) -> None:
    sources = found(text, **options)
    assert sources is not None
    folders = sources.with_packages("3.11")
    assert tuple(each for each in folders if "site-packages" in each)[:1] == packages


@pytest.mark.parametrize(
    ("text", "level", "prefix"),
    [
        ("file = /srv/a/x.py", 0, ""),
        ("file = /srv/a/x.py\noptimize = 2", 2, ""),
        ("file = /srv/a/x.py\nenv = PYTHONPYCACHEPREFIX=/srv/c", 0, "/srv/c"),
    ],
)  # fmt: skip
def test_the_kind_of_byte_code(text: str, level: int, prefix: str) -> None:
    sources = found(text)
    assert sources is not None
    assert (sources.level, sources.prefix) == (level, prefix)
