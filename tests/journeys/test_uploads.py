"""Uploads to a Flask app, cold and warm, through nginx and through a balancer."""

import sys

import pytest

from tests.backend import Backend
from tests.balancer.fleet import Balancer
from tests.http_client import Request, ask

HOST = "uploads.example"


@pytest.fixture(params=[False, True], ids=["backend", "balancer"])
def port(backend: Backend, balancer: Balancer, request: pytest.FixtureRequest) -> int:
    """The port of an nginx in front of the sleeping app."""
    for nginx in (backend.nginx, balancer):
        nginx.expect("is buffered to a temporary file")
    backend.add(HOST, "flask_app.py", virtualenv=sys.prefix)
    return balancer.port if request.param else backend.nginx.port


def test_a_chunked_body_reaches_the_app(port: int) -> None:
    for _ in ("cold", "warm"):
        chunks = (b"a" * 9_000, b"b", b"c" * 70_000)
        reply = ask(port, Request(HOST, "/length", "POST", body=chunks))
        assert (reply.status, reply.text) == (200, "79001")


@pytest.mark.parametrize("size", [100_000, 10_000_000])
def test_a_refusal_arrives_whatever_the_app_has_read(port: int, size: int) -> None:
    upload = Request(HOST, "/refuse", "POST", body=bytes(size))
    assert [ask(port, upload).status for _ in range(20)] == [401] * 20
