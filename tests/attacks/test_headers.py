"""No header becomes a variable of nginx's for an app, and no part of a body a request of its own.

tests/nginx and tests/balancer have odd hosts, what a visitor says of itself, and odd replies.
"""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.framings import FRAMINGS
from tests.attacks.tenants import ALICE, MALLORY, UIDS, Tenants
from tests.eventually import PATIENCE_SECONDS

MINE, HERS = "mallory.example", "alice.example"
STEERING = (
    "UWSGI_FILE", "UWSGI-FILE", "UWSGI_APPID", "UWSGI-MODULE", "UWSGI_SETENV", "UWSGI-CHDIR",
    "Script-Name", "SCRIPT_NAME", "DOCUMENT-ROOT", "X-Domain", "X_Domain", "X-Try", "X-May-Run",
    "X-Accel-Redirect", "X-Accel-Internal", "X-Sendfile", "X_Forwarded_For", "Proxy", "HTTPS",
    "SERVER_NAME", "REMOTE_USER", "Remote-User",
)  # fmt: skip
# What an app may read of these, as a header by which uWSGI and frameworks are not steered.
ONLY_HEADERS = {
    "HTTP_UWSGI_FILE", "HTTP_UWSGI_MODULE", "HTTP_UWSGI_CHDIR", "HTTP_DOCUMENT_ROOT",
    "HTTP_X_DOMAIN", "HTTP_X_TRY", "HTTP_X_MAY_RUN", "HTTP_X_ACCEL_REDIRECT",
    "HTTP_X_ACCEL_INTERNAL", "HTTP_X_SENDFILE", "HTTP_HTTPS",
}  # fmt: skip
# A request, the status, and what it ran.
LINES = {
    "two hosts": (f"GET / HTTP/1.1\r\nHost: {MINE}\r\nHost: {HERS}", 400, None),
    "CR alone": (f"GET / HTTP/1.1\rHost: {HERS}", 400, None),
    "NUL": (f"GET /\0 HTTP/1.1\r\nHost: {HERS}", 400, None),
    "CONNECT": (f"CONNECT {HERS}:80 HTTP/1.1\r\nHost: {HERS}", 400, None),
    "TRACE": (f"TRACE / HTTP/1.1\r\nHost: {HERS}", 405, None),
    "internal place": (
        f"GET /@app HTTP/1.1\r\nHost: {MINE}\r\nX-Accel-Redirect: @app", 200, f"GET {MINE} /@app"
    ),
    "written CRLF": (
        f"GET /%0d%0aHost:%20{HERS}%0d%0a%0d%0aGET%20/x HTTP/1.1\r\nHost: {MINE}", 200,
        f"GET {MINE} /%0d%0aHost:%20{HERS}%0d%0a%0d%0aGET%20/x",
    ),
    "absolute": (f"GET http://{HERS}/a HTTP/1.1\r\nHost: {MINE}", 200, f"GET {HERS} /a"),
    "upgrade": (
        f"GET / HTTP/1.1\r\nHost: {MINE}\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk", 200,
        f"GET {MINE} /",
    ),
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def runs(tenants: Tenants) -> Iterator[tuple[Path, Path]]:
    """Both apps run, and note their requests here."""
    tenants.nginx.expect("client sent ")
    notes = []
    for tenant, domain in ((MALLORY, MINE), (ALICE, HERS)):
        place = tenants.folder / domain
        place.mkdir()
        os.chown(place, UIDS[tenant], -1)
        notes.append(place / "runs")
        tenants.host(tenant, domain, "mirror.py", env=f"RUNS={notes[-1]}")
        assert tenants.get(domain).status == 200
    yield notes[0], notes[1]
    for domain in (MINE, HERS):
        tenants.remove(domain)
        tenants.until(domain, None)


def new_runs(runs: tuple[Path, Path]) -> list[str]:
    """The requests since the last call."""
    lines = [line for note in runs for line in note.read_text().splitlines()]
    for note in runs:
        os.truncate(note, 0)
    return lines


def answer(tenants: Tenants, raw: str) -> str:
    """All that nginx answers to these bytes, until it closes."""
    with socket.create_connection(("127.0.0.1", tenants.nginx.port), PATIENCE_SECONDS) as client:
        client.sendall(raw.encode())
        return b"".join(iter(lambda: client.recv(65536), b"")).decode()


def test_a_header_is_no_variable_of_nginxs(tenants: Tenants) -> None:
    claims = dict.fromkeys(STEERING, "claimed")
    reply = tenants.get(HERS, headers=claims)
    assert reply.status == 200
    variables = json.loads(reply.text)
    assert {name for name, value in variables.items() if value == "claimed"} == ONLY_HEADERS


@pytest.mark.parametrize("framing", FRAMINGS)
def test_no_part_of_a_body_is_a_request(
    tenants: Tenants, runs: tuple[Path, Path], framing: str
) -> None:
    headers, body, status = FRAMINGS[framing]
    new_runs(runs)
    last = f"GET /last HTTP/1.1\r\nHost: {MINE}\r\nConnection: close\r\n\r\n"
    replies = answer(tenants, f"POST / HTTP/1.1\r\nHost: {MINE}\r\n{headers}\r\n\r\n{body}{last}")
    assert replies.startswith(f"HTTP/1.1 {status} ")
    assert new_runs(runs) == ([f"POST {MINE} /", f"GET {MINE} /last"] if status == 200 else [])


@pytest.mark.parametrize("line", LINES)
def test_an_odd_request_runs_once_or_not_at_all(
    tenants: Tenants, runs: tuple[Path, Path], line: str
) -> None:
    head, status, run = LINES[line]
    new_runs(runs)
    reply = answer(tenants, f"{head}\r\nConnection: close\r\n\r\n")
    assert reply.startswith(f"HTTP/1.1 {status} ")
    assert new_runs(runs) == ([run] if run else [])


def test_a_request_of_http_0_9_names_no_host(tenants: Tenants, runs: tuple[Path, Path]) -> None:
    new_runs(runs)
    assert answer(tenants, "GET /\r\n\r\n") == "No such host is served here.\n"
    assert new_runs(runs) == []
