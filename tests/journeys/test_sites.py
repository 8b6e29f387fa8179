"""Settings of nginx for single hosts: the examples of docs/sites.md, and files with mistakes."""

import re
import socket
import ssl
import subprocess
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from docs.examples.backend import SHIPPED
from tests.backend import Backend
from tests.cli.program import finished
from tests.eventually import eventually

PAGE = SHIPPED.parent / "docs" / "sites.md"
HOST = "www.example.com"
OTHER = "other.example"


def blocks() -> list[str]:
    """What the page has for nginx."""
    return re.findall(r"(?ms)^```nginx\n(.*?)^```", PAGE.read_text())


def examples(folder: Path) -> str:
    """The blocks of the page but that with the certificate, which redirects all requests. They have
    the folder of this test, and a small limit of a body."""
    text = "".join(block for block in blocks() if "ssl_certificate" not in block)
    for path, by in {
        "/srv": str(folder),
        "/var/www": str(folder),
        "/etc/nginx/emperord": f"{folder}/nginx/emperord",
        "client_max_body_size 1g;": "client_max_body_size 10;",
    }.items():
        assert path in text
        text = text.replace(path, by)
    return text


class Desk:
    """A backend with two hosts, and the administrator's files for them."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.sites = backend.folder / "nginx" / "emperord" / "sites"

    def write(self, text: str, host: str = HOST) -> Path:
        """Write the file of a host."""
        path = self.sites / f"{host}.conf"
        path.write_text(text)
        return path

    def run(self, *options: str) -> tuple[int, str, str]:
        """Run the command."""
        place = str(self.backend.folder / "nginx")
        result = finished(self.backend.run_dir, "sites", "--nginx-dir", place, *options)
        return result.returncode, result.stdout, result.stderr

    def install(self) -> tuple[int, str, str]:
        """Run the command, and wait until only workers of the reloaded nginx are left."""
        before = self.backend.nginx.workers()
        told = self.run()
        eventually(lambda: not self.backend.nginx.workers() & before)
        return told


@pytest.fixture
def desk(start: Callable[..., Backend]) -> Desk:
    backend = start()
    backend.add(HOST)
    backend.add(OTHER)
    (backend.folder / "nginx" / "emperord" / "sites").mkdir()
    return Desk(backend)


def test_the_examples_of_the_page_work(desk: Desk) -> None:
    backend, folder = desk.backend, desk.backend.folder
    static = folder / HOST / "static"
    static.mkdir(parents=True)
    (static / "a.css").write_text("body {}")
    (static / "favicon.ico").write_text("icon")
    (static / "link").symlink_to("/etc/passwd")
    token = folder / "acme" / ".well-known" / "acme-challenge" / "token"
    token.parent.mkdir(parents=True)
    token.write_text("proof")
    (desk.sites / f"{HOST}.htpasswd").write_text("staff:{PLAIN}secret\n")
    desk.write(examples(folder))
    assert desk.install() == (0, "1 of 1 files are as nginx accepts them.\n", "")
    backend.nginx.expect("failed|no user/password|is not allowed|too large body")

    assert backend.get(HOST, "/robots.txt").text == "User-agent: *\nDisallow: /admin/\n"
    reply = backend.get(HOST, "/static/a.css")
    assert (reply.text, reply.headers["content-type"]) == ("body {}", "text/css")
    assert backend.get(HOST, "/favicon.ico").text == "icon"
    assert backend.get(HOST, "/.well-known/acme-challenge/token").text == "proof"
    assert backend.get(HOST, "/static/none").status == 404
    assert backend.get(HOST, "/static/link").status == 403
    assert backend.get(HOST, "/admin/").status == 401
    assert backend.post(HOST, b"more than ten").status == 413
    assert backend.state(HOST) == "parked", "nothing of that wakes the app"

    password = {"Authorization": f"Basic {b64encode(b'staff:secret').decode()}"}
    for _ in ("cold", "warm"):
        assert backend.get(HOST, "/admin/", password).status == 200
    assert backend.get(HOST, "/").status == 200
    assert backend.post(OTHER, b"more than ten").status == 200, "the others have their own limit"
    assert backend.get(OTHER, "/robots.txt").status == 200, "the app's own"


def test_a_host_has_its_certificate_and_redirects(desk: Desk) -> None:
    backend = desk.backend
    place = backend.folder / "letsencrypt"
    live = place / "live" / HOST
    live.mkdir(parents=True)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}",
         "-keyout", live / "privkey.pem", "-out", live / "fullchain.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    [block] = [block for block in blocks() if "ssl_certificate" in block]
    desk.write(block.replace("/etc/letsencrypt", str(place)))
    assert desk.install()[0] == 0
    reply = backend.get(HOST, "/a?b=c")
    assert (reply.status, reply.headers["location"]) == (301, f"https://{HOST}/a?b=c")
    assert backend.state(HOST) == "parked"
    trusting = ssl.create_default_context(cafile=live / "fullchain.pem")
    with (
        socket.create_connection(("127.0.0.1", backend.nginx.tls_port)) as plain,
        trusting.wrap_socket(plain, server_hostname=HOST) as secure,
    ):
        secure.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        assert secure.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"
    assert backend.get(OTHER).status == 200, "other hosts are not redirected"


def test_the_operator_sees_a_site_that_is_closed(desk: Desk) -> None:
    page = PAGE.with_name("maintenance.md").read_text()
    [example] = re.findall(r"(?ms)^```nginx\n(.*?)^```", page)
    desk.write(example)
    assert desk.install()[0] == 0
    assert desk.backend.get(HOST).status == 503
    assert desk.backend.state(HOST) == "parked"
    assert desk.backend.get(OTHER).status == 200
    desk.write(example.replace("203.0.113.7", "127.0.0.1"))
    assert desk.install()[0] == 0
    assert desk.backend.get(HOST).status == 200


def test_a_host_of_a_wildcard_has_its_own_file(desk: Desk) -> None:
    desk.backend.add("_.example.org")
    desk.write("location = /robots.txt { return 200 own; }\n", "shop.example.org")
    assert desk.install()[0] == 0
    assert desk.backend.get("shop.example.org", "/robots.txt").text == "own"
    assert desk.backend.state("_.example.org") == "parked"
    for host in ("shop.example.org", "other.example.org"):
        assert desk.backend.get(host).status == 200
    assert desk.backend.get("other.example.org", "/robots.txt").text != "own"


def test_a_file_with_a_mistake_takes_no_host_down(desk: Desk) -> None:
    backend = desk.backend
    desk.write("location = /a { return 200 first; }\n")
    good = desk.write("location = /a { return 200 other; }\n", OTHER)
    assert desk.install()[0] == 0
    assert backend.get(HOST, "/a").text == "first"
    bad = desk.write("location = /a { return 200 second; }\nclient_max_body 1g;\n")
    good.write_text("location = /a { return 200 newer; }\n")
    status, out, err = desk.run("--check")
    assert (status, err) == (1, f"emperorctl: nginx does not get 1 of the files in {desk.sites}\n")
    assert out.splitlines()[0] == (
        f'{bad}:2: error: unknown directive "client_max_body"'
        "; an earlier version of it is in service"
    )
    assert backend.get(OTHER, "/a").text == "other", "a check changes nothing"
    assert desk.install()[0] == 1
    assert backend.get(OTHER, "/a").text == "newer"
    assert backend.get(HOST, "/a").text == "first"
    bad.unlink()
    assert desk.install() == (0, "1 of 1 files are as nginx accepts them.\n", "")
    assert backend.get(HOST, "/a").text != "first"
    enabled = desk.sites.with_name("sites-enabled")
    assert sorted(path.name for path in enabled.iterdir()) == [f"{OTHER}.conf", f"{OTHER}.inc"]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("ssl_certificate /nosuch.pem;\nssl_certificate_key /nosuch.key;\n", "cannot load"),
        ("location / { return 200; }\n", 'duplicate location "/"'),
        ("}\nserver {\n", 'unexpected "}"'),
        ("include /nosuch.conf;\n", '"/nosuch.conf" failed'),
    ],
)
def test_a_mistake_is_named(desk: Desk, text: str, cause: str) -> None:
    path = desk.write(text)
    status, out, _ = desk.run("--check")
    assert status == 1
    assert out.startswith(f"{path}:")
    assert cause in out


def test_a_file_that_a_tenant_can_change_is_not_used(desk: Desk) -> None:
    path = desk.write("return 200;\n")
    path.chmod(0o666)
    desk.write("return 200;\n", "Not A Host")
    desk.write("return 200;\n", "_.example.com")
    status, out, _ = desk.install()
    assert status == 1
    assert f"{path}: error: cannot use it: others than root can change it" in out
    assert "Not A Host.conf: error: cannot use it: its name is no host name" in out
    assert "_.example.com.conf: error: cannot use it: it is no single host" in out
    assert not list(desk.sites.with_name("sites-enabled").iterdir())


def test_an_nginx_that_reads_no_sites_is_told(desk: Desk) -> None:
    conf = desk.sites.parents[1] / "nginx.conf"
    conf.write_text(conf.read_text().replace("include emperord/sites-enabled/*.conf;", ""))
    desk.write("client_max_body_size 1g;\n")
    status, _, err = desk.run()
    assert status == 1
    assert "add `include emperord/sites-enabled/*.conf;` to its http { }" in err
    conf.write_text("nonsense\n")
    status, _, err = desk.run()
    assert status == 1
    assert "nginx refuses its own configuration: " in err
