"""How often a request runs whose app ends the connection without an answer."""

import hashlib
from collections.abc import Callable
from http.client import IncompleteRead
from pathlib import Path

import pytest

from tests.backend import Backend
from tests.http_client import Reply, Request, ask

HOST = "failing.example"
FAILURES = ["raise", "harakiri", "die"]
SAFE = ["GET", "HEAD", "OPTIONS"]
NOT_REPEATED = "failed while it handled this request, which was not repeated"
REPEATED = "failed while it handled this request, and again when it was repeated"


class Site:
    """An app that notes its runs and fails."""

    def __init__(self, backend: Backend, host: str = HOST, **emperor: str) -> None:
        self._backend = backend
        self._host = host
        self._runs = backend.folder / "runs"
        ini = backend.ini(host, "failing.py", env=f"RUNS={self._runs}", harakiri="1", processes="2")
        attributes = "".join(f"{key} = {value}\n" for key, value in emperor.items())
        backend.nginx.expect("upstream prematurely closed connection")
        backend.drop(host, f"{ini}[emperor]\n{attributes}")
        backend.until(host, "parked")

    def ask(self, failure: str, method: str = "GET", body: bytes | None = None) -> Reply:
        return ask(self._backend.nginx.port, Request(self._host, f"/{failure}", method, body=body))

    @property
    def runs(self) -> list[str]:
        """The method and the body's checksum of each."""
        return self._runs.read_text().splitlines()

    @property
    def methods(self) -> list[str]:
        return [run.split()[0] for run in self.runs]


@pytest.mark.parametrize("failure", FAILURES)
def test_a_request_without_an_answer_runs_once_by_default(backend: Backend, failure: str) -> None:
    site = Site(backend)
    for method in [*SAFE, "POST"]:
        reply = site.ask(failure, method)
        assert reply.status == 502
        assert NOT_REPEATED in reply.text or method == "HEAD"
    assert site.methods == [*SAFE, "POST"]


@pytest.mark.parametrize("failure", FAILURES)
def test_a_safe_request_runs_once_more_if_the_ini_says_so(backend: Backend, failure: str) -> None:
    site = Site(backend, repeat="safe")
    for method in SAFE:
        reply = site.ask(failure, method)
        assert reply.status == 502
        assert REPEATED in reply.text or method == "HEAD"
    reply = site.ask(failure, "POST")
    assert (reply.status, NOT_REPEATED in reply.text) == (502, True)
    assert site.methods == [method for method in SAFE for _ in range(2)] + ["POST"]


def test_the_settings_decide_for_all_and_an_ini_for_itself(
    start: Callable[..., Backend], folder: Path
) -> None:
    backend = start(repeat="safe")
    site, own = Site(backend), Site(backend, "own.example", repeat="never")
    assert REPEATED in site.ask("raise").text
    assert len(site.runs) == 2
    assert NOT_REPEATED in own.ask("raise").text
    assert len(own.runs) == 3


def test_the_body_of_a_repeated_get_arrives_whole_again(backend: Backend) -> None:
    site = Site(backend, repeat="safe")
    body = bytes(range(250)) * 400
    assert REPEATED in site.ask("raise", body=body).text
    assert site.runs == [f"GET {hashlib.sha256(body).hexdigest()[:8]}"] * 2


@pytest.mark.parametrize("repeat", ["never", "safe"])
def test_a_request_whose_reply_began_is_never_repeated(backend: Backend, repeat: str) -> None:
    site = Site(backend, repeat=repeat)
    with pytest.raises(IncompleteRead):
        site.ask("begun")
    assert site.methods == ["GET"]


def test_a_failure_is_told_to_a_browser_as_a_page(backend: Backend) -> None:
    Site(backend)
    reply = backend.browse(HOST, "/raise")
    assert reply.status == 502
    assert "<h1>The site failed</h1>" in reply.text
    assert NOT_REPEATED in reply.text
