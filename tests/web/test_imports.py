"""A daemon that takes over answers nobody until it has imported all that it needs."""

import json
import os
import subprocess
import sys
from typing import Any

_LATER = {"aiohttp.client", "click", "jinja2", "prometheus_client", "psutil", "statistics"}
_SCRIPT = f"""
import gc, json, sys
from emperor.start import load
load()
from emperor import process
print(json.dumps({{
    "collects": gc.isenabled(),
    "late": sorted({_LATER} & sys.modules.keys()),
    "types of files": len(sys.modules["mimetypes"].types_map) > 500,
    "of a registry": [name for name in sys.modules if name.startswith("emperor.registry")],
}}))
"""
_WHOLE_AFTERWARDS = """
import json
from emperor.web.aiohttp_server import web as ours
import aiohttp
from aiohttp import web, http_exceptions
print(json.dumps({
    "has_its_client": aiohttp.ClientSession.__module__ == "aiohttp.client",
    "is_the_same_server": web is ours and ours.Application is web.Application,
}))
"""
_TLS_AFTERWARDS = """
import json, sys
from emperor.linux.no_openssl import no_openssl
with no_openssl():
    from emperor import process
openssl = {"ssl", "_ssl", "_hashlib"}
maps = open("/proc/self/maps").read()
before = sorted(openssl & sys.modules.keys())
import hashlib, http.client, ssl, urllib.request
import prometheus_client
print(json.dumps({
    "before": before,
    "libraries": [name for name in ("libssl", "libcrypto", "libstdc++") if name in maps],
    "hash": hashlib.sha256(b"").hexdigest()[:8],
    "https": [hasattr(http.client, "HTTPSConnection"), hasattr(urllib.request, "HTTPSHandler")],
}))
"""
_ENTITIES_AFTERWARDS = """
import json, sys
from emperor.linux.no_entities import no_entities
with no_entities():
    from emperor import process
from emperor.web import pages
before = pages.html.unescape("&eacute;")
import html
print(json.dumps({
    "escaped": pages.html.escape("<"),
    "unescaped": [before, html.unescape("&eacute;")],
}))
"""
# Such a server cannot be imported before the client.
_SERVER_THAT_NEEDS_MORE = """
import json, os, sys
class Needs:
    def find_spec(self, name, path, target=None):
        if name == "aiohttp.web_runner" and not hasattr(sys.modules["aiohttp"], "ClientSession"):
            raise ImportError(name)
sys.meta_path.insert(0, Needs())
from emperor.web.aiohttp_server import web
from aiohttp import connector
print(json.dumps({
    "runner": web.AppRunner.__module__,
    "certificates": connector._SSL_CONTEXT_VERIFIED.cert_store_stats()["x509"],
    "environment": {name: os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")},
}))
"""


def told_by(script: str) -> dict[str, Any]:
    """What a script says of its imports."""
    env = {name: value for name, value in os.environ.items() if name != "SSL_CERT_DIR"}
    result = subprocess.run(
        [sys.executable, "-c", script],
        env=env | {"SSL_CERT_FILE": "/a/file"}, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_the_daemon_imports_only_what_it_needs_at_once() -> None:
    assert told_by(_SCRIPT) == {
        "collects": False,
        "late": [],
        "types of files": False,
        "of a registry": [],
    }


def test_who_needs_openssl_gets_it_later() -> None:
    assert told_by(_TLS_AFTERWARDS) == {
        "before": [],
        "libraries": [],
        "hash": "e3b0c442",
        "https": [True, True],
    }


def test_who_reads_html_gets_its_names_of_characters_later() -> None:
    assert told_by(_ENTITIES_AFTERWARDS) == {
        "escaped": "&lt;",
        "unescaped": ["&eacute;", "\u00e9"],
    }


def test_who_needs_the_client_of_aiohttp_gets_it() -> None:
    assert told_by(_WHOLE_AFTERWARDS) == {"has_its_client": True, "is_the_same_server": True}


def test_a_server_of_aiohttp_that_needs_all_of_it_gets_it() -> None:
    assert told_by(_SERVER_THAT_NEEDS_MORE) == {
        "runner": "aiohttp.web_runner",
        "certificates": 0,
        "environment": {"SSL_CERT_FILE": "/a/file", "SSL_CERT_DIR": None},
    }
