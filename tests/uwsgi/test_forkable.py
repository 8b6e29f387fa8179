"""Which apps are forked from a base, and which start by exec."""

from dataclasses import replace

import pytest

from emperor.model.spec import Bases, Spec
from emperor.uwsgi.options import uwsgi_options
from tests.uwsgi.house import SETTINGS, spec

APP = "file = /srv/a.py"
SWITCHED_ON = replace(SETTINGS, bases=Bases.AUTO)


def forkable(text: str) -> Spec:
    """The spec of an app where bases are switched on."""
    return spec(text, settings=SWITCHED_ON)


@pytest.mark.parametrize(
    "line",
    [
        "virtualenv = /srv/venv", "home = /srv/venv", "threads = 4", "enable-threads = true",
        "lazy-apps = true", "processes = 8", "cheaper = 2", "env = LANG=de_DE.UTF-8",
        "env = LC_ALL=C.utf8", "env = DJANGO_SETTINGS_MODULE=site.settings", "plugin = python3",
        "plugins = python, http", "touch-reload = /srv/touch", "py-autoreload = 1",
        "max-requests = 1000", "harakiri = 30", "logto = /srv/log", "mule = true",
        "optimize = 0", "no-site = false", "unenv = GREETING",
        "never-swap = false", "master-fifo = /srv/fifo", "chdir = /srv",
    ],
)  # fmt: skip
def test_an_ordinary_ini_is_forked(line: str) -> None:
    assert uwsgi_options(forkable(f"{APP}\n{line}")).by_exec == ""


@pytest.mark.parametrize(
    "line",
    [
        "gevent = 100", "loop = asyncio", "async = 10", "asyncio = 10", "optimize = 1",
        "py-programname = /usr/bin/python3", "pyrun = /srv/a.py", "python-worker-override = /a.py",
        "binary-path = /usr/bin/uwsgi", "envdir = /srv/env", "env = PYTHONHASHSEED=0",
        "env = PYTHONPATH=/srv", "env = LANG=de_DE.ISO-8859-1", "env = LC_ALL=C", "chroot = /srv",
        "unshare = pid", "never-swap = true", "limit-as = 512", "reload-on-rss = 100",
        "evil-reload-on-as = 900", "daemonize = /srv/log", "procname-prefix = mine",
        "auto-procname = true", "refork = true", "plugin = lua", "plugins = python3,psgi",
        "pymodule-alias = a=b", "umask = 027", "env = OPENSSL_CONF=/srv/openssl.cnf",
        "env = %(pair)", "stats-push = statsd:127.0.0.1:8125", "cheaper-rss-limit-soft = 9",
        "declare-option = mine=processes=$1", "virtualenv = $(VENV)", "no-site = true",
        "early-envdir = /srv/env", "env = HOME=/srv/home", "unenv = HOME", "unenv = LANG",
        "unenv = PYTHONPATH",
    ],
)  # fmt: skip
def test_an_ini_that_says_how_python_starts_is_not(line: str) -> None:
    assert uwsgi_options(forkable(f"{APP}\n{line}")).by_exec == line


def test_the_first_such_option_is_named() -> None:
    made = uwsgi_options(forkable(f"{APP}\nthreads = 2\noptimize = 2\ngevent = 3"))
    assert made.by_exec == "optimize = 2"


def test_an_ini_can_ask_for_exec() -> None:
    assert uwsgi_options(forkable(f"{APP}\n[emperor]\nbases = off")).by_exec == "bases = off"


@pytest.mark.parametrize(
    ("lines", "home"),
    [
        ("virtualenv = /srv/venv/", "/srv/venv"),
        ("chdir = /srv\nhome = venv", "/srv/venv"),
        ("chdir = /srv\nvenv = ../opt/venv", "/opt/venv"),
        ("pyhome = /srv/a\nhome = /srv/b", "/srv/b"),
        ("[emperor]\npython-home = /srv/c", "/srv/c"),
        ("", ""),
    ],
)
def test_the_home_of_python_is_known(lines: str, home: str) -> None:
    assert uwsgi_options(forkable(f"{APP}\n{lines}")).home == home
