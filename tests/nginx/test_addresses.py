"""What an app is told about its client: only the balancers are believed."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from docs.examples.backend import SHIPPED
from emperor.model.sites import server_block
from tests.http_client import Request, ask
from tests.nginx.conftest import App
from tests.nginx.stub_daemon import StubDaemon
from tests.nginx_server import Nginx

HOST = "app.example"
BALANCER = "127.0.0.1"
STRANGER = "127.0.0.2"
FORWARDED = {
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "bank.example",
    "X-Forwarded-Port": "8443",
    "X-Real-Ip": "192.0.2.66",
    "X-Real-Port": "51234",
}
FORWARDED_FOR = {"X-Forwarded-For": "203.0.113.7"}
CLAIMS = re.findall(
    r"^uwsgi_param HTTP_(\w+) ", (SHIPPED / "emperord/claims.conf").read_text(), re.MULTILINE
)


@pytest.fixture
def warm(app: App) -> App:
    app.open_door()
    return app


async def environ(
    nginx: Nginx, request: Request, source: str = BALANCER, tls: bool = False
) -> dict[str, Any]:
    port = nginx.tls_port if tls else nginx.port
    reply = await asyncio.to_thread(ask, port, request, source, tls)
    env: dict[str, Any] = json.loads(reply.text)["environ"]
    return env


async def test_a_balancer_is_believed(nginx: Nginx, warm: App) -> None:
    env = await environ(nginx, Request(HOST, headers=FORWARDED), BALANCER)
    assert env["REMOTE_ADDR"] == "203.0.113.7"
    assert env["HTTP_X_FORWARDED_FOR"] == env["HTTP_X_REAL_IP"] == "203.0.113.7"
    assert (env["HTTPS"], env["wsgi.url_scheme"]) == ("on", "https")
    assert env["SERVER_PORT"] == env["HTTP_X_FORWARDED_PORT"] == "8443"
    assert env["REMOTE_PORT"] == "51234"


async def test_a_stranger_is_not_believed(nginx: Nginx, warm: App) -> None:
    env = await environ(nginx, Request(HOST, headers=FORWARDED), STRANGER)
    assert env["REMOTE_ADDR"] == STRANGER
    assert env["HTTP_X_FORWARDED_FOR"] == STRANGER
    assert env["HTTP_X_FORWARDED_PROTO"] == env["wsgi.url_scheme"] == "http"
    assert "HTTPS" not in env
    assert env["SERVER_PORT"] == env["HTTP_X_FORWARDED_PORT"] == str(nginx.port)
    assert env["REMOTE_PORT"] not in ("", "51234")


@pytest.mark.parametrize(
    ("headers", "port"),
    [
        ({"X-Forwarded-Proto": "https"}, "443"),
        ({"X-Forwarded-Proto": "http"}, "80"),
        ({"X-Forwarded-Proto": "https", "X-Forwarded-Port": "443, 80"}, "443"),
        ({"X-Forwarded-Proto": "https", "X-Forwarded-Port": "-1"}, "443"),
        ({"X-Forwarded-Proto": "https", "X-Forwarded-Port": "443"}, "443"),
    ],
)
async def test_a_terse_balancer_means_the_usual_port_of_the_scheme(
    nginx: Nginx, warm: App, headers: dict[str, str], port: str
) -> None:
    env = await environ(nginx, Request(HOST, headers=FORWARDED_FOR | headers), BALANCER)
    assert env["SERVER_PORT"] == port
    assert "REMOTE_PORT" not in env


@pytest.mark.parametrize("source", [BALANCER, STRANGER])
async def test_nobody_names_another_host_or_a_user(nginx: Nginx, warm: App, source: str) -> None:
    claims = {name.replace("_", "-"): "claimed" for name in [*CLAIMS, "X_OWN"]}
    underscored = dict.fromkeys(CLAIMS, "claimed")
    env = await environ(nginx, Request(HOST, headers=FORWARDED | claims | underscored), source)
    assert env["HTTP_X_FORWARDED_HOST"] == HOST
    assert [name for name, value in env.items() if value == "claimed"] == ["HTTP_X_OWN"]


def test_the_balancer_removes_what_the_backend_removes() -> None:
    balancer = (SHIPPED / "loadbalancer.conf").read_text()
    removed = re.findall(r'^ +proxy_set_header (\S+) +"";$', balancer, re.MULTILINE)
    # The balancer sets X-Real-Port.
    assert [name.upper().replace("-", "_") for name in removed if name != "Connection"] == [
        name for name in CLAIMS if name != "X_REAL_PORT"
    ]


async def test_the_daemon_learns_the_clients_address(
    nginx: Nginx, app: App, daemon: StubDaemon
) -> None:
    await environ(nginx, Request(HOST, headers=FORWARDED), BALANCER)
    app.socket.chmod(0)
    await environ(nginx, Request(HOST, headers=FORWARDED), STRANGER)
    assert [asked.headers["x-forwarded-for"] for asked in daemon.asked] == ["203.0.113.7", STRANGER]


async def test_tls_ends_here_too(nginx: Nginx, app: App, daemon: StubDaemon) -> None:
    env = await environ(nginx, Request(HOST), STRANGER, tls=True)
    assert (env["HTTPS"], env["REQUEST_SCHEME"], env["wsgi.url_scheme"]) == (
        "on", "https", "https",
    )  # fmt: skip
    assert env["SERVER_PORT"] == env["HTTP_X_FORWARDED_PORT"] == str(nginx.tls_port)
    assert len(daemon.asked) == 1


@pytest.mark.parametrize(
    ("header", "path", "told_host"),
    [
        ("app.example", "/", "app.example"),
        ("APP.example:8080", "/", "app.example:8080"),
        ("app.example.", "/", "app.example"),
        ("app.example.:8080", "/", "app.example:8080"),
        ("bank.example", "http://app.example/", "app.example"),
        ("bank.example:1", "http://app.example:2/", "app.example"),
    ],
)
async def test_an_app_is_told_the_host_that_it_was_chosen_by(
    nginx: Nginx, warm: App, header: str, path: str, told_host: str
) -> None:
    env = await environ(nginx, Request(header, path))
    assert env["HTTP_HOST"] == told_host
    assert env["SERVER_NAME"] == HOST


async def test_the_balancers_request_id_runs_through(
    nginx: Nginx, app: App, daemon: StubDaemon
) -> None:
    env = await environ(nginx, Request(HOST, headers={"X-Request-Id": "from-the-balancer"}))
    assert env["HTTP_X_REQUEST_ID"] == "from-the-balancer"
    assert daemon.asked[0].headers["x-request-id"] == "from-the-balancer"


@pytest.mark.parametrize("odd", ["short", "x" * 65, "a b c d e f", '"quoted-id"'])
async def test_an_odd_request_id_is_replaced(nginx: Nginx, warm: App, odd: str) -> None:
    env = await environ(nginx, Request(HOST, headers={"X-Request-Id": odd}))
    assert re.fullmatch("[0-9a-f]{32}", env["HTTP_X_REQUEST_ID"])


async def test_a_site_may_have_a_header_of_its_own_server_in_front(folder: Path) -> None:
    """The example of docs/sites.md."""
    page = (SHIPPED.parent / "docs" / "sites.md").read_text()
    [line] = re.findall(r"^uwsgi_param .*$", page, re.MULTILINE)
    nginx, app = Nginx(folder), App(folder, HOST)
    enabled = folder / "nginx" / "emperord" / "sites-enabled"
    enabled.mkdir()
    (enabled / f"{HOST}.conf").write_text(server_block(HOST))
    (enabled / f"{HOST}.inc").write_text(line)
    with nginx:
        try:
            app.start()
            app.open_door()
            claims = {"True-Client-IP": "203.0.113.7", "X-Client-IP": "203.0.113.7"}
            env = await environ(nginx, Request(HOST, headers=claims))
        finally:
            app.stop()
    assert env["HTTP_TRUE_CLIENT_IP"] == "203.0.113.7"
    assert "HTTP_X_CLIENT_IP" not in env
