"""What a uWSGI lacks that does not know an option."""

import subprocess
import sys
from pathlib import Path

import pytest

from emperor.handover.gate import Gate
from emperor.uwsgi.features import missing_feature
from emperor.uwsgi.plugins import Lacking, Plugins, plugins_in_folders, plugins_of, unfound_plugins
from emperor.uwsgi.resolver import Resolver
from tests.uwsgi.house import ini_of

OURS = Path(sys.executable).with_name("uwsgi")
DEBIANS = Path("/usr/bin/uwsgi-core")
BARE = frozenset({"socket", "cgi-mode", "http-socket", "if-env"})


@pytest.mark.parametrize(
    ("key", "lacks"),
    [
        ("log-route", "built without PCRE"),
        ("log-req-route", "built without PCRE"),
        ("static-expires", "built without PCRE"),
        ("static-expires-uri-mtime", "built without PCRE"),
        ("if-hostname-match", "built without PCRE"),
        ("alarm-log", "built without PCRE"),
        ("https-socket", "built without OpenSSL"),
        ("sni-dir", "built without OpenSSL"),
        ("legion-cron", "built without OpenSSL"),
        ("xmlconfig", "built without libxml2"),
        ("json", "built without jansson"),
        ("cap", "built without libcap"),
        ("cgi", "plugin cgi,"),
        ("cgi-index", "plugin cgi,"),
        ("rrdtool", "plugin rrdtool,"),
        ("php-docroot", "plugin php,"),
        ("psgi", "plugin psgi,"),
        ("rack", "plugin rack,"),
        ("rb-threads", "plugin rbthreads,"),
        ("lua", "plugin lua,"),
        ("asyncio", "plugin asyncio,"),
        ("gevent", "plugin gevent,"),
        ("virtualenv", "plugin python3,"),
        ("wsgi-file", "plugin python3,"),
        ("fastrouter-stats", "plugin fastrouter,"),
        ("http", "plugin http,"),
    ],
)
def test_an_option_names_the_library_or_plugin_it_needs(key: str, lacks: str) -> None:
    missing = missing_feature(key, BARE)
    assert missing is not None
    assert lacks in missing[0]


@pytest.mark.parametrize("key", ["harakri", "chdri", "cgimode", "sockett", "http-sockets"])
def test_a_misspelt_option_needs_nothing(key: str) -> None:
    assert missing_feature(key, BARE) is None


def test_an_option_of_a_loaded_plugin_is_misspelt() -> None:
    assert missing_feature("wsgi-fil", BARE | {"wsgi-file"}) is None
    assert missing_feature("route-rum", BARE | {"route"}) is None


def test_every_option_that_our_uwsgi_lacks_has_a_feature() -> None:
    """Those that Debian's uWSGI has with all of its plugins that need no other package."""
    ours, debians = _options(OURS), _options(DEBIANS, "cgi", "forkptyrouter", "pty", "tuntap")
    lacking = debians - ours
    assert lacking
    assert [key for key in lacking if missing_feature(key, ours) is None] == []


def _options(uwsgi: Path, *plugins: str) -> frozenset[str]:
    loading = [f"--plugins={','.join(plugins)}"] if plugins else []
    printed = subprocess.run([uwsgi, *loading, "--dump-options"], capture_output=True, check=True)
    return frozenset(printed.stdout.decode().split())


def test_the_plugins_of_an_ini_are_those_that_it_names() -> None:
    text = "plugin = python3\nplugins = 0:http, cgi\nneed-plugins = /srv/evil.so,cgi\nplugin = ../x"
    assert plugins_of(ini_of(text)).names == ("python3", "http", "cgi")


async def test_debians_uwsgi_knows_the_options_of_the_plugins() -> None:
    resolver = Resolver(DEBIANS, Path("/"), Gate())
    assert "wsgi-file" not in await resolver.options()
    known = await resolver.options(Plugins(("python3", "nonsense")))
    assert {"socket", "wsgi-file"} < known
    assert "UNABLE" not in known
    assert await resolver.python(Plugins(("nonsense", "python3"))) is not None
    assert await resolver.python() is None


@pytest.mark.parametrize(
    ("uwsgi", "line", "expected"),
    [
        (OURS, "plugins = python3", "note: uWSGI finds no plugin python3: it has that built in"),
        (OURS, "plugin = 0:http, python", "note: uWSGI finds no plugin http: it has that built in"),
        (OURS, "plugins = nosuch", "warning: uWSGI finds no plugin nosuch, and goes on; install"),
        (OURS, "need-plugin = python3", "error: uWSGI finds no plugin python3: it has that built"),
        (OURS, "plugins-dir = /usr/lib/uwsgi/plugins\nplugins = cgi", ""),
        (OURS, "plugins-dir = /tmp\nplugins = cgi", ""),
        (OURS, "plugins = /srv/own", ""),
        (DEBIANS, "plugins = python3,cgi", ""),
        (DEBIANS, "plugins = python3\nplugin = pyton3", "warning: uWSGI finds no plugin pyton3"),
        (DEBIANS, "need-plugins = nosuch", "error: uWSGI finds no plugin nosuch, so the app does"),
    ],
)
async def test_a_plugin_that_uwsgi_does_not_find_is_told_of(
    uwsgi: Path, line: str, expected: str
) -> None:
    ini = ini_of(line)
    lacking = await Resolver(uwsgi, Path("/"), Gate()).lacking(plugins_in_folders(ini))
    found = [
        f"{each.severity.value}: {each.text}; {each.cure}" for each in unfound_plugins(ini, lacking)
    ]
    assert bool(found) == bool(expected)
    assert expected in "".join(found[:1])


def test_a_library_that_a_plugin_needs_is_named() -> None:
    ini = ini_of("plugins = php")
    lacking = Lacking({"php": "libphp8.so: cannot open shared object file: No such file"}, ())
    (finding,) = unfound_plugins(ini, lacking)
    assert "cannot load the plugin php: libphp8.so: cannot open" in finding.text
