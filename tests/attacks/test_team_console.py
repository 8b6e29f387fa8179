"""The console for a team: the shipped configuration of nginx, its service and the daemon, and what
somebody tries who has no password, or another name."""

import base64
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from docs.examples.backend import SHIPPED
from docs.examples.rewriting import listeners, rewrite
from tests.attacks.framings import FRAMINGS
from tests.attacks.tenants import MALLORY, Tenants
from tests.cli.program import ENVIRONMENT, command
from tests.eventually import PATIENCE_SECONDS, eventually
from tests.nginx_server import Nginx, nginx_version
from tests.traces import public_folder

HOST = "console.example.com"
PASSWORD = "right"

# nginx believes its load balancers, and these tests are one: their requests are of this client, and
# none is refused for what a test did as another.
CLIENT = "X-Forwarded-For: 192.0.2.1"


class Team(Nginx):
    """The nginx of a backend that has the console, too."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        place = folder / "nginx"
        conf = place / "emperord-console.conf"
        shutil.copy(SHIPPED / "console.conf", conf)
        if nginx_version() >= (1, 25, 1):
            _run_command_for_http2(conf)
        rewrite(
            [conf, self.conf],
            {
                **listeners(["127.0.0.1"], self.port, self.tls_port),
                r"(?m)^http \{$": "http { include emperord-console.conf;",
            },
        )
        hashed = subprocess.run(
            ("openssl", "passwd", "-6", PASSWORD), capture_output=True, text=True, check=True
        )
        (place / "emperord-console.htpasswd").write_text(f"ada:{hashed.stdout}")
        self.expect("password mismatch|was not found in")

    def ask(self, request: bytes, tls: bool = True) -> bytes:
        """The answers to all that is sent."""
        port = self.tls_port if tls else self.port
        with closing(socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS)) as plain:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(plain, server_hostname=HOST) if tls else plain as connection:
                connection.sendall(request)
                answer = b""
                while piece := connection.recv(65536):
                    answer += piece
        return answer

    def get(
        self, path: str = "/console/", password: str | None = PASSWORD, *headers: str,
        user: str = "ada",
    ) -> tuple[int, str]:  # fmt: skip
        """The status and the whole answer; without a password where that is None."""
        answer = self.sent(path, *headers, user=user, password=password)
        return int(answer.split()[1]), answer

    def sent(
        self, path: str, *headers: str, method: str = "GET", body: str = "", user: str = "ada",
        password: str | None = PASSWORD,
    ) -> str:  # fmt: skip
        """The answers to a request of that user."""
        told = [] if password is None else [f"Authorization: {_basic(user, password)}"]
        first = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", "Connection: close", CLIENT]
        request = "\r\n".join([*first, *told, *headers, "", body])
        return self.ask(request.encode(errors="surrogateescape")).decode(errors="replace")


def _run_command_for_http2(conf: Path) -> None:
    """The one that the file tells for newer versions of nginx, which warn without it."""
    [command] = re.findall(r"(?m)^#   (sed -i .*http2 on.*) /etc/.*$", conf.read_text())
    subprocess.run(("sh", "-c", f'{command} "$0"', str(conf)), check=True)


def _basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with public_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def nginx(folder: Path) -> Iterator[Team]:
    with Team(folder) as nginx:
        yield nginx


@pytest.fixture(scope="module")
def tenants(folder: Path, nginx: Team) -> Iterator[Tenants]:
    """A daemon, and beside it the service of the console."""
    with Tenants(folder, nginx) as tenants, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "run-console.sock"))
        (folder / "run-console.sock").chmod(0o666)
        listener.listen()
        script = 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3<&0 </dev/null'
        service = subprocess.Popen(
            ("sh", "-c", script, "sh", *command(tenants.run_dir, "console", "--for-nginx")),
            env=ENVIRONMENT, stdin=listener.fileno(),
        )  # fmt: skip
        try:
            eventually(lambda: nginx.get()[0] == 200, alive=[service], what="it answers")
            yield tenants
        finally:
            service.terminate()
            assert service.wait(PATIENCE_SECONDS) == 0


@pytest.mark.parametrize(
    "path",
    [
        "/v1/status", "/metrics", "//console/", "/console/../v1/status", "/console/%2e%2e/metrics",
        "/console/..%2fmetrics", "/console/%252e%252e/metrics", "/console/..;/metrics",
        "/console/.%00./metrics", "/console/x%2f..%2f..%2fmetrics", "/console/..%5cmetrics",
        "/console/static/../../metrics", "/console/static/%2e%2e%2ftemplates%2fask.html",
        "/console/%c0%ae%c0%ae/metrics", "/console/vassals/%2e%2e%2f%2e%2e%2fmetrics",
        "/console/vassals/%0d%0aX-Forwarded-User:%20eve", "/console/vassals/\udcff",
        "/console/vassals/%3Cimg%20src=x%3E", "/emperord-health", "*",
    ],
)  # fmt: skip
def test_no_path_leads_past_the_pages_of_the_console(
    tenants: Tenants, nginx: Team, path: str
) -> None:
    assert tenants.call("GET", "/v1/status")[0] == 200
    status, answer = nginx.get(path)
    assert status in (400, 404)
    assert "emperord_build_info" not in answer
    assert "<img" not in answer


@pytest.mark.parametrize("framing", FRAMINGS)
def test_no_part_of_a_body_is_a_request_to_the_console(
    tenants: Tenants, nginx: Team, framing: str
) -> None:
    assert tenants.call("GET", "/v1/status")[0] == 200
    nginx.expect("client sent invalid chunked body")
    headers, body, _ = FRAMINGS[framing]
    answer = nginx.sent("/console/vassals", headers, method="POST", body=body)
    assert answer.count("HTTP/1.") == 1
    assert int(answer.split()[1]) in (400, 405, 501)


@pytest.mark.parametrize("claim", ["X-Forwarded-User", "X_Forwarded_User", "Remote-User"])
def test_nobody_gets_in_by_a_header(tenants: Tenants, nginx: Team, claim: str) -> None:
    assert tenants.call("GET", "/v1/status")[0] == 200
    assert nginx.get("/console/", None, f"{claim}: ada")[0] == 401


def test_no_other_site_orders_anything(tenants: Tenants, nginx: Team) -> None:
    tenants.host(MALLORY, "mallory.example")
    path = "/console/vassals/mallory.example/restart"
    found = re.search(r'name="token" value="([^"]+)"', nginx.get(path)[1])
    assert found
    form, evil = f"token={found[1]}", "Origin: https://mallory.example"
    for headers, body, expected in (
        ([], "", 403),
        (["Sec-Fetch-Site: same-origin"], "", 403),
        (["Origin: null"], "", 403),
        ([evil], form, 403),
        ([evil, "X-Forwarded-Host: mallory.example"], form, 403),
        (["Sec-Fetch-Site: same-site"], form, 403),
        (["Sec-Fetch-Site: same-origin"], form, 303),
    ):
        size = f"Content-Length: {len(body)}"
        answer = nginx.sent(path, *headers, size, method="POST", body=body)
        assert int(answer.split()[1]) == expected, headers


def test_a_user_name_writes_no_line_of_a_log(tenants: Tenants, nginx: Team) -> None:
    """fail2ban reads them, and would ban an address that somebody else has written."""
    assert tenants.call("GET", "/v1/status")[0] == 200
    line = '": password mismatch, client: 192.0.2.66, server: x, request: "GET / HTTP/1.1"'
    for user in (
        f"ada{line}",
        f'ada\n2026/01/01 00:00:00 [error] 1#1: *1 user "ada{line}',
        "\x1b[2J",
    ):
        assert nginx.get(user=user)[0] == 400
    assert not any("192.0.2.66" in line or "\x1b" in line for line in nginx.error_lines())


def test_a_long_password_takes_no_time_of_nginx(tenants: Tenants, nginx: Team) -> None:
    """crypt(3) takes the longer for it."""
    assert tenants.call("GET", "/v1/status")[0] == 200
    assert nginx.get(password="w" * 100)[0] == 401
    assert nginx.get(password="w" * 511)[0] == 400


@pytest.mark.parametrize("network", ["2001:db8:0:1::", "127.0.0."])
def test_a_network_has_the_tries_of_one_client(tenants: Tenants, nginx: Team, network: str) -> None:
    """A machine has all addresses of an IPv6 network, and each of its users all of 127.0.0.0/8."""
    assert tenants.call("GET", "/v1/status")[0] == 200
    head = f"GET /console/ HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: {_basic('ada', 'wrong')}\r\n"
    tries = [f"{head}X-Forwarded-For: {network}{number}\r\n" for number in range(2, 252)]
    tries *= 2
    tries[-1] += "Connection: close\r\n"
    answers = nginx.ask("".join(f"{each}\r\n" for each in tries).encode())
    statuses = re.findall(rb"HTTP/1\.1 (\d+) ", answers)
    assert len(statuses) == len(tries)
    assert statuses.count(b"429") > 100
    assert not any("limiting requests" in line for line in nginx.error_lines())


def test_no_app_has_the_name_of_the_console_without_tls(tenants: Tenants, nginx: Team) -> None:
    """A wildcard would, and could ask for the password of who has typed the name."""
    tenants.host(MALLORY, "_.example.com")
    of_the_app = nginx.ask(b"GET / HTTP/1.0\r\nHost: a.example.com\r\n\r\n", tls=False)
    assert of_the_app[9:12] == b"200"
    told = nginx.ask(f"GET /console/ HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode(), tls=False)
    assert told[9:12] == b"301"
    assert f"Location: https://{HOST}/console/\r\n".encode() in told


def test_a_page_of_another_site_loads_nothing(tenants: Tenants, nginx: Team) -> None:
    """A browser sends the password with images, too. Streams without end could be taken for one,
    and the tries of its address used up."""
    assert tenants.call("GET", "/v1/status")[0] == 200
    for site in ("cross-site", "same-site"):
        where = f"Sec-Fetch-Site: {site}"
        assert nginx.get("/console/", PASSWORD, where, "Sec-Fetch-Dest: document")[0] == 200
        for dest in ("image", "iframe", "empty"):
            assert nginx.get("/console/", PASSWORD, where, f"Sec-Fetch-Dest: {dest}")[0] == 403
    image = ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Dest: image")
    each = "\r\n".join(["GET /console/ HTTP/1.1", f"Host: {HOST}", CLIENT, *image, ""])
    answers = nginx.ask(f"{each}\r\n".encode() * 499 + f"{each}Connection: close\r\n\r\n".encode())
    assert re.findall(rb"HTTP/1\.1 (\d+) ", answers) == [b"403"] * 500
    assert nginx.get()[0] == 200
