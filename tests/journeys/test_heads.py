"""How large a request and a reply may be: docs/operations.md has the limits, and each one is tried
with as much as it allows, and with one more."""

import re
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.backend import Backend
from tests.balancer.fleet import Balancer
from tests.eventually import PATIENCE_SECONDS
from tests.http2_client import status_over_http2
from tests.http_client import Request, ask

ROOT = Path(__file__).parents[2]
HOST = "heads.example"
_ROW = re.compile(r"^\| (.+?) \| ([\d,]+) (?:bytes|headers) \| .+ \| (\d{3})\b.* \|$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Limit:
    """What the documentation says of a limit: the largest size, and the status beyond it."""

    name: str
    largest: int
    status: int


def _limits() -> list[Limit]:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    rows = _ROW.findall(page[page.index("### Sizes") :])
    return [Limit(name, int(size.replace(",", "")), int(status)) for name, size, status in rows]


def status_of(port: int, headers: str = "", path: str = "/") -> int:
    """The status of the first line that comes back."""
    head = f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{headers}\r\n"
    with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as connection:
        connection.sendall(head.encode())
        return int(connection.recv(4096).split()[1])


def a_header(port: int, size: int) -> int:
    return status_of(port, f"X: {'x' * (size - len('X: ') - 2)}\r\n")


def the_first_line(port: int, size: int) -> int:
    return status_of(port, path="/" + "p" * (size - len("GET / HTTP/1.1\r\n")))


def count(port: int, size: int) -> int:
    return status_of(port, "".join(f"X-N{n}: 1\r\n" for n in range(size - len(["Host"]))))


def body(port: int, size: int) -> int:
    """100 means that nginx asks for the body."""
    return status_of(port, f"Content-Length: {size}\r\nExpect: 100-continue\r\n")


def reply(port: int, size: int) -> int:
    return ask(port, Request(HOST, f"/?head={size}")).status


TRIALS: dict[str, Callable[[int, int], int]] = {
    "a header of a request": a_header,
    "the first line of a request": the_first_line,
    "headers of a request": count,
    "headers of a request, through a balancer": count,
    "the body of a request": body,
    "all headers of a reply": reply,
}
# An nginx without max_headers takes more than the limit, which Ubuntu's does, and uWSGI does not.
UWSGIS_HEADERS = 1_200
PACKET = "a request as a packet of the uwsgi protocol"


def is_limited(limit: Limit) -> bool:
    """Whether the nginx of this machine has that limit."""
    program = shutil.which("nginx")
    assert program
    counts = limit.name.startswith("headers of a request")
    return not counts or b"max_headers" in Path(program).read_bytes()


@pytest.fixture
def runs(backend: Backend) -> Path:
    """The app runs, and notes each request here."""
    for line in ("uwsgi request is too big", "upstream sent too big header", "too large body"):
        backend.nginx.expect(line)
    runs = backend.folder / "runs"
    backend.add(HOST, "heads.py", env=f"RUNS={runs}")
    assert backend.get(HOST).status == 200
    return runs


def test_the_documentation_has_the_limits_that_are_tried() -> None:
    assert [limit.name for limit in _limits()] == [*TRIALS, PACKET]


@pytest.mark.parametrize("limit", _limits()[:-1], ids=lambda limit: limit.name)
def test_a_size_is_taken_up_to_its_limit(
    backend: Backend, balancer: Balancer, runs: Path, limit: Limit
) -> None:
    balancer.expect("too large body")
    trial = TRIALS[limit.name]
    beyond = UWSGIS_HEADERS + 1
    if not is_limited(limit):
        backend.nginx.expect("upstream prematurely closed connection")
    ports = [] if "through" in limit.name else [backend.nginx.port]
    if limit.name != "headers of a request":  # a balancer adds some
        ports.append(balancer.port)
    for port in ports:
        assert trial(port, limit.largest) in (100, 200)
        assert trial(port, limit.largest + 1 if is_limited(limit) else beyond) == limit.status


@pytest.mark.parametrize("through_a_balancer", [False, True], ids=["backend", "balancer"])
def test_a_packet_is_taken_up_to_the_limit_of_its_protocol(
    backend: Backend, balancer: Balancer, runs: Path, through_a_balancer: bool
) -> None:
    [limit] = [limit for limit in _limits() if limit.name == PACKET]
    port = balancer.port if through_a_balancer else backend.nginx.port
    too_large = "".join(f"X-N{n}: {'x' * 16_300}\r\n" for n in range(4))
    before = runs.read_text()
    assert status_of(port, too_large) == limit.status
    assert runs.read_text() == before
    [size] = re.findall(r"uwsgi request is too big: (\d+)", "".join(backend.nginx.error_lines()))
    excess = "x" * (int(size) - limit.largest)
    assert status_of(port, too_large.replace(excess, "", 1)) == 200
    assert status_of(port, too_large.replace(excess[1:], "", 1)) == limit.status


def test_a_cold_app_takes_and_refuses_the_same_heads(backend: Backend, runs: Path) -> None:
    backend.call("POST", f"/v1/vassals/{HOST}/sleep")
    backend.until(HOST, "parked")
    large = [f"X-N{n}: {'x' * 16_000}\r\n" for n in range(5)]
    assert status_of(backend.nginx.port, "".join(large)) == 431
    assert status_of(backend.nginx.port, path="/" + "p" * 20_000) == 414
    assert backend.state(HOST) == "parked"
    assert status_of(backend.nginx.port, "".join(large[:3])) == 200


def test_http2_takes_the_same_heads(balancer: Balancer, runs: Path) -> None:
    """Beyond the buffers of the balancer, nginx ends the connection, and no app is asked."""
    before = runs.read_text()

    def status(path: str, **headers: str) -> int | None:
        return status_over_http2(balancer.tls_port, HOST, path, headers)

    assert status("/", cookie="c" * 16_000) == 200
    assert status("/?" + "q" * 16_000) == 200
    assert status("/", a="a" * 15_000, b="b" * 15_000, c="c" * 15_000, d="d" * 14_000) == 200
    assert len(runs.read_text().splitlines()) == len(before.splitlines()) + 3
    assert status("/", a="a" * 16_250, b="b" * 16_250, c="c" * 16_250, d="d" * 16_250) == 431
    assert status("/", cookie="c" * 17_000) is None
    assert len(runs.read_text().splitlines()) == len(before.splitlines()) + 3


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("repeat", ["never", "safe"])
def test_a_head_above_the_inis_own_buffer_is_too_large(
    backend: Backend, method: str, repeat: str
) -> None:
    backend.nginx.expect(r"upstream prematurely closed connection|recv\(\) failed \(104")
    runs = backend.folder / "runs"
    ini = backend.ini(HOST, "heads.py", env=f"RUNS={runs}", buffer_size="8192")
    backend.drop(HOST, f"{ini}[emperor]\nrepeat = {repeat}\n")
    backend.until(HOST, "parked")
    for size, status in ((6_000, 200), (9_000, 431), (6_000, 200)):
        request = Request(HOST, method=method, headers={"X": "x" * size}, body=b"body")
        reply = ask(backend.nginx.port, request)
        assert reply.status == status
    assert runs.read_text().splitlines() == [f"{method} /"] * 2
    assert backend.state(HOST) == "running"


def test_a_reply_whose_head_is_too_large_runs_once(backend: Backend, runs: Path) -> None:
    reply = backend.get(HOST, "/?head=20000")
    assert (reply.status, "too large or malformed" in reply.text) == (502, True)
    assert runs.read_text().splitlines() == ["GET /", "GET /?head=20000"]
    assert backend.state(HOST) == "running"
