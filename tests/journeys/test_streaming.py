"""A reply that is sent piece by piece arrives piece by piece, if its app says so."""

import os
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from tests.backend import Backend
from tests.balancer.fleet import Balancer
from tests.eventually import PATIENCE_SECONDS

HOST = "events.example"


@pytest.fixture
def gate(backend: Backend) -> Path:
    """A FIFO: the app sends its second event when it is opened for writing."""
    backend.add(HOST, "streaming.py")
    gate = backend.folder / "gate"
    os.mkfifo(gate)
    return gate


def ask(port: int, gate: Path, buffering: str) -> HTTPResponse:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    path = f"/?gate={gate}&buffering={buffering}"
    connection.request("GET", path, headers={"Host": HOST, "Connection": "close"})
    return connection.getresponse()


@pytest.mark.parametrize("through_a_balancer", [False, True], ids=["backend", "balancer"])
def test_an_event_arrives_while_its_app_goes_on(
    backend: Backend, balancer: Balancer, gate: Path, through_a_balancer: bool
) -> None:
    port = balancer.port if through_a_balancer else backend.nginx.port
    for _ in ("cold", "warm"):
        with ask(port, gate, "no") as reply:
            assert reply.status == 200
            assert reply.readline() == b"data: first\n"
            gate.write_bytes(b"")
            assert reply.read() == b"data: second\n"


def test_a_visitor_sees_no_header_that_was_for_the_balancer(balancer: Balancer, gate: Path) -> None:
    with ask(balancer.port, gate, "no") as reply:
        assert reply.getheader("Content-Type") == "text/event-stream"
        assert reply.getheader("X-Accel-Buffering") is None
        gate.write_bytes(b"")
        assert reply.read() == b"data: first\ndata: second\n"
