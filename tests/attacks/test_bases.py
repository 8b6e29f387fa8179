"""A base of a virtual environment runs a tenant's code: it harms nobody but that tenant."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.slow_files import slow_files
from tests.attacks.tenants import ALICE, MALLORY, Tenants
from tests.backend import with_state
from tests.nginx_server import Nginx
from tests.virtualenv import add_package, make_virtualenv

ONE, OTHER, HERS = "one.example", "other.example", "alice.example"
# Runs in the base, before all of its modules, and has its spares do something else than to wait.
TAKES_OVER = """\
import os, sys
def wait(pages, channel):
{}
frame = sys._getframe()
while frame is not None:
    if frame.f_globals.get("__name__") == "emperor.bases.inside.forking":
        frame.f_globals["fault_in"] = wait
    frame = frame.f_back
"""
HANGS = """\
    os.open({!r}, os.O_RDONLY | os.O_CLOEXEC)
    os.execv("/bin/sleep", ["sleep", "600"])
"""
APP = """\
import extra
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"served"]
"""


@pytest.fixture(scope="module")
def tenants(folder: Path) -> Iterator[Tenants]:
    """A daemon that makes bases of virtual environments. alice has an app."""
    with Nginx(folder) as nginx:
        tenants = Tenants(folder, nginx)
        tenants.under = with_state(folder)
        with tenants:
            tenants.until_base_is_ready()
            tenants.host(ALICE, HERS)
            yield tenants


@pytest.fixture
def home(folder: Path) -> Path:
    """A virtual environment of mallory's."""
    home = folder / "venv"
    packages = make_virtualenv(home)
    add_package(packages, "extra", "")
    (packages / "own.pth").write_text("import own\n")
    (packages / "own.py").write_text("")
    (folder / "app.py").write_text(APP)
    return home


def take_over(home: Path, lines: str) -> None:
    """Have the spares of its base do these lines."""
    [own] = home.glob("lib/python3*/site-packages/own.py")
    own.write_text(TAKES_OVER.format(lines))


@pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="nobody has such a file system here")
def test_a_spare_within_execve_holds_nobody_up(tenants: Tenants, folder: Path, home: Path) -> None:
    tenants.expect("did not stop within|cannot fork apps from a base of")
    with slow_files(folder / "slow") as closing:
        take_over(home, HANGS.format(f"{folder}/slow/file"))
        for domain in (ONE, OTHER):
            options = {"file": f"{folder}/app.py", "home": str(home)}
            tenants.host(MALLORY, domain, **options, emperor="stop-timeout = 1s")
            assert tenants.get(domain).status == 200
        assert closing.wait(60), "mallory has a base, whose spares hang"
        assert tenants.call("POST", f"/v1/vassals/{ONE}/sleep")[0] == 200
        with socket.create_connection(("127.0.0.1", tenants.nginx.port)) as visitor:
            visitor.sendall(f"GET / HTTP/1.1\r\nHost: {ONE}\r\n\r\n".encode())
            tenants.until(ONE, "starting")
            assert tenants.get(HERS).status == 200
            assert tenants.call("GET", "/v1/bases")[0] == 200
    # Only now does the kernel end them.
    for domain in (ONE, OTHER, HERS):
        tenants.remove(domain)
        tenants.until(domain, None)
