"""A daemon that takes over answers nobody until it has imported all that it needs."""

import json
import os
import subprocess
import sys
from typing import Any

_SCRIPT = """
import gc, json, os, sys
from emperor.start import load
load()
from aiohttp import connector
print(json.dumps({
    "collects": gc.isenabled(),
    "late": sorted({"psutil", "prometheus_client", "pyroute2"} & sys.modules.keys()),
    "of a registry": [name for name in sys.modules if name.startswith("emperor.registry")],
    "certificates": connector._SSL_CONTEXT_VERIFIED.cert_store_stats()["x509"],
    "environment": {name: os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")},
}))
"""


def imported() -> dict[str, Any]:
    """What a daemon has imported when it begins to read the bag."""
    env = {name: value for name, value in os.environ.items() if name != "SSL_CERT_DIR"}
    result = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        env=env | {"SSL_CERT_FILE": "/a/file"}, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_the_daemon_imports_only_what_it_needs_at_once() -> None:
    found = imported()
    assert found["late"] == []
    assert found["of a registry"] == []
    assert not found["collects"]
    assert found["certificates"] == 0
    assert found["environment"] == {"SSL_CERT_FILE": "/a/file", "SSL_CERT_DIR": None}
