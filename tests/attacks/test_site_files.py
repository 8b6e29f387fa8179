"""The administrator's settings of nginx for one host (docs/sites.md): no request chooses another's,
nor gets around those of its own."""

import socket
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.attacks.tenants import ALICE, MALLORY, Tenants
from tests.cli.program import finished
from tests.eventually import PATIENCE_SECONDS, eventually
from tests.nginx_server import Nginx
from tests.traces import public_folder

HERS, MINE = "alice.example.com", "mallory.example"
SETTINGS = """\
auth_basic "Staff";
auth_basic_user_file {htpasswd};
if ($remote_user ~ "[^ -!#-~]") {{ return 400; }}
add_header X-Whose alice always;
"""


@pytest.fixture(scope="module")
def site() -> Iterator[Tenants]:
    """A backend on which alice's site asks for a password, beside a wildcard of mallory's."""
    with public_folder() as folder, Nginx(folder) as nginx, Tenants(folder, nginx) as tenants:
        tenants.host(ALICE, HERS)
        tenants.host(MALLORY, MINE)
        tenants.host(MALLORY, "_.example.com")
        sites = folder / "nginx/emperord/sites"
        sites.mkdir()
        (sites / f"{HERS}.htpasswd").write_text("staff:{PLAIN}secret\n")
        settings = SETTINGS.format(htpasswd=sites / f"{HERS}.htpasswd")
        (sites / f"{HERS}.conf").write_text(settings)
        before = nginx.workers()
        place = str(folder / "nginx")
        done = finished(tenants.run_dir, "sites", "--nginx-dir", place)
        assert done.returncode == 0, done.stderr
        eventually(lambda: not nginx.workers() & before)
        yield tenants


def asked(site: Tenants, request: str) -> str:
    """The answers to it."""
    address = ("127.0.0.1", site.nginx.port)
    with closing(socket.create_connection(address, PATIENCE_SECONDS)) as connection:
        connection.sendall(request.encode("latin1"))
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer.decode(errors="replace")


def has_settings(answer: str) -> bool:
    return "\r\nX-Whose: alice\r\n" in answer


def is_of_the_app(answer: str) -> bool:
    return f" {HERS} 0 " in answer


def test_her_app_answers_who_knows_the_password(site: Tenants) -> None:
    """What the others look for is there to be found."""
    password = {"Authorization": f"Basic {b64encode(b'staff:secret').decode()}"}
    assert is_of_the_app(site.get(HERS, "/", password).text)


@pytest.mark.parametrize(
    "host",
    [HERS, HERS.upper(), f"{HERS}.", f"{HERS}:80", f"{HERS}.:80", f"{HERS}:99999", f" {HERS} "],
)
@pytest.mark.parametrize("path", ["/", "//", "/@app", "/emperord-health", "/download:/x", "/."])
def test_no_spelling_of_a_host_gets_around_its_settings(
    site: Tenants, host: str, path: str
) -> None:
    answer = asked(site, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    assert answer.split()[1] == "401"
    assert has_settings(answer)


@pytest.mark.parametrize(
    "host",
    [
        MINE, "other.example.com", "xn--alice.example.com", "_.example.com", "*.example.com",
        f"{HERS}%2e", "alice%2eexample.com", f"{HERS}\0", f"{HERS}\0.example.com", f"{HERS}..",
        f"x/../{HERS}", f"../{HERS}", "..", f".{HERS}", "~^.*$", f"{HERS}/", f"{HERS}#", f"{HERS}?",
        f"user@{HERS}", f"{HERS}@x", f"{HERS}\t", f"{HERS}\x0b", f"[{HERS}]", f"{HERS};",
        f"{HERS},x", f"{HERS}/.inc", f"{HERS}.inc", f"{HERS}.htpasswd", "al\xc4\xb1ce.example.com",
        "a" * 300, "",
    ],
)  # fmt: skip
def test_no_other_host_has_its_settings_or_its_app(site: Tenants, host: str) -> None:
    answer = asked(site, f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    assert answer.startswith("HTTP/1.1 ")
    assert not has_settings(answer)
    assert not is_of_the_app(answer)


@pytest.mark.parametrize(
    "request_lines",
    [
        f"GET http://{HERS}/ HTTP/1.1\r\nHost: {MINE}",
        f"GET http://{MINE}/ HTTP/1.1\r\nHost: {HERS}",
        f"GET / HTTP/1.1\r\nHost: {MINE}\r\nHost: {HERS}",
        f"GET / HTTP/1.1\r\nHost: {MINE}\r\nX-Forwarded-Host: {HERS}\r\nX-Domain: {HERS}",
        f"GET / HTTP/1.0\r\nHost: {HERS}",
        f"OPTIONS / HTTP/1.1\r\nHost: {HERS}",
        f"FOO / HTTP/1.1\r\nHost: {HERS}",
        f"GET / HTTP/1.1\r\nHost: {HERS}\r\nUpgrade: websocket",
        f"GET / HTTP/1.1\r\nHost: {HERS}\r\nAuthorization: Basic",
        f"GET / HTTP/1.1\r\nHost: {HERS}\r\nAuthorization: Basic {b64encode(b'staff:').decode()}",
        f"GET / HTTP/1.1\r\nHost: {HERS}\r\nAuthorization: Basic {b64encode(b'staff').decode()}",
        f"GET / HTTP/1.1\r\nHost: {HERS}\r\nAuthorization: Bearer secret",
    ],
)
def test_no_request_reaches_an_app_without_its_password(site: Tenants, request_lines: str) -> None:
    site.nginx.expect("password mismatch")
    answer = asked(site, f"{request_lines}\r\nConnection: close\r\n\r\n")
    assert answer.startswith("HTTP/1.1 ")
    assert not is_of_the_app(answer)


def test_a_user_name_writes_no_line_of_a_log(site: Tenants) -> None:
    """As docs/sites.md has it."""
    for user in ("x\n2026/01/01 00:00:00 [error] 1#1: *1 192.0.2.66", '": 192.0.2.66', "\x1b[2J"):
        told = b64encode(f"{user}:x".encode()).decode()
        assert site.get(HERS, "/", {"Authorization": f"Basic {told}"}).status == 400
    log = "\n".join(site.nginx.error_lines())
    assert "192.0.2.66" not in log
    assert "\x1b" not in log
