"""What an app is told of its client, from the client's connection with the balancer to the app."""

import json
from typing import Any

import pytest

from tests.backend import Backend
from tests.balancer.fleet import Balancer
from tests.http_client import Request, ask

HOST = "curious.example"
TOLD = ("SERVER_PORT", "REQUEST_SCHEME", "REMOTE_ADDR", "HTTP_X_FORWARDED_PORT", "HTTP_HOST")
APP = f"""
import json

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    told = {{name: environ.get(name) for name in {TOLD}}}
    return [json.dumps(told | {{"has_port": environ["REMOTE_PORT"].isdecimal()}}).encode()]
"""


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_behind_a_balancer_it_is_the_balancers_client(
    backend: Backend, balancer: Balancer, tls: bool
) -> None:
    app = backend.folder / "curious.py"
    app.write_text(APP)
    backend.drop(HOST, f"[uwsgi]\nfile = {app}\n")
    backend.until(HOST, "parked")
    port = balancer.tls_port if tls else balancer.port
    lies = {"X-Forwarded-Port": "1", "X-Real-Port": "none", "X-Forwarded-Proto": "gopher"}
    request = Request(f"{HOST}:{port}", headers=lies)
    told: dict[str, Any] = json.loads(ask(port, request, "127.0.0.9", tls).text)
    assert told == {
        "SERVER_PORT": str(port),
        "REQUEST_SCHEME": "https" if tls else "http",
        "REMOTE_ADDR": "127.0.0.9",
        "HTTP_X_FORWARDED_PORT": str(port),
        "HTTP_HOST": f"{HOST}:{port}",
        "has_port": True,
    }
