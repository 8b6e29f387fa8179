"""Ordinary sites behind the shipped files: requests to apps that sleep, and to apps that run.

The Django project belongs to a user of its own, in a home that nobody else may enter.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.backend import APPS, Backend
from tests.balancer.fleet import Balancer
from tests.eventually import PATIENCE_SECONDS
from tests.http_client import Reply, Request, ask

USER = 65534
PROJECT = APPS / "django_project"
PACKAGES = ("django", "asgiref", "sqlparse")
PICTURE = bytes(range(256)) * 4096
CHECKSUM = hashlib.sha256(PICTURE).hexdigest()
BOUNDARY = "----a-boundary"


class Visitor:
    """A client of one site, through the balancer, that keeps cookies."""

    def __init__(self, port: int, host: str) -> None:
        self.port = port
        self.host = host
        self._cookies: dict[str, str] = {}

    def ask(
        self, path: str, form: bytes | tuple[bytes, ...] | None = None, kind: str = ""
    ) -> Reply:
        headers = {"Cookie": "; ".join(f"{key}={value}" for key, value in self._cookies.items())}
        if form is not None:
            headers["Content-Type"] = kind
        method = "GET" if form is None else "POST"
        reply = ask(self.port, Request(self.host, path, method, headers, form))
        if cookie := reply.headers.get("set-cookie"):
            name, _, value = cookie.split(";")[0].partition("=")
            self._cookies[name] = value
        return reply


def multipart(**fields: bytes) -> bytes:
    """An HTML form with an upload, as browsers send it."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"'.encode()
        + (b'; filename="a.png"\r\nContent-Type: image/png' if name == "file" else b"")
        + b"\r\n\r\n"
        + value
        for name, value in fields.items()
    ]
    return b"\r\n".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


@pytest.fixture
def cold_and_warm(backend: Backend) -> Callable[[str, Callable[[], None]], None]:
    """Has a visitor do something while the app sleeps, and again when it runs."""

    def both(host: str, visit: Callable[[], None]) -> None:
        if backend.state(host) != "parked":
            assert backend.call("POST", f"/v1/vassals/{host}/sleep")[0] == 200
            backend.until(host, "parked")
        visit()
        assert backend.state(host) == "running"
        visit()

    return both


@pytest.fixture
def flask(backend: Backend, balancer: Balancer) -> Visitor:
    host = "flask.example"
    backend.add(host, "flask_site.py", virtualenv=sysconfig.get_path("data"), threads="4")
    return Visitor(balancer.port, host)


@pytest.fixture
def django(backend: Backend, balancer: Balancer) -> Visitor:
    host = "django.example"
    home = backend.folder / "home"
    home.mkdir(mode=0o700)
    shutil.copytree(PROJECT, home / "site", ignore=shutil.ignore_patterns("__pycache__"))
    environment = home / "venv"
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", environment], check=True)
    (packages,) = environment.glob("lib/python3*/site-packages")
    for package in PACKAGES:
        shutil.copytree(
            Path(sysconfig.get_path("purelib"), package),
            packages / package,
            ignore=shutil.ignore_patterns("__pycache__", "tests"),
        )
    for path in (home, *home.rglob("*")):
        os.chown(path, USER, USER, follow_symlinks=False)
    for command in ("migrate", "collectstatic"):
        subprocess.run(
            [environment / "bin/python", "manage.py", command, "--no-input", "--verbosity=0"],
            cwd=home / "site",
            check=True,
            user=USER,
            group=USER,
            extra_groups=[],
        )
    draft = backend.folder / "draft"
    draft.write_text(
        f"[uwsgi]\nchdir = {home}/site\nmodule = shop.wsgi\nvirtualenv = {environment}\n"
        f"processes = 2\nstatic-map = /static={home}/site/collected\n"
    )
    os.chown(draft, USER, USER)
    draft.rename(backend.vassals / f"{host}.ini")
    backend.until(host, "parked")
    return Visitor(balancer.port, host)


def test_flask_keeps_sessions_over_naps(
    flask: Visitor, cold_and_warm: Callable[[str, Callable[[], None]], None]
) -> None:
    counted: list[str] = []
    cold_and_warm(flask.host, lambda: counted.append(flask.ask("/visits").text))
    cold_and_warm(flask.host, lambda: counted.append(flask.ask("/visits").text))
    assert counted == ["1", "2", "3", "4"]


def test_events_of_flask_arrive_one_by_one(
    backend: Backend, flask: Visitor, cold_and_warm: Callable[[str, Callable[[], None]], None]
) -> None:
    gate = backend.folder / "gate"
    os.mkfifo(gate)

    def listen() -> None:
        connection = HTTPConnection("127.0.0.1", flask.port, timeout=PATIENCE_SECONDS)
        headers = {"Host": flask.host, "Connection": "close"}
        connection.request("GET", f"/events?gate={gate}", headers=headers)
        with connection.getresponse() as reply:
            assert reply.read1() == b"data: first\n\n", "the second event is not there yet"
            gate.write_bytes(b"")
            assert reply.read() == b"data: second\n\n"

    cold_and_warm(flask.host, listen)


def test_uploads_reach_flask_whole_or_are_refused_in_words(
    flask: Visitor, cold_and_warm: Callable[[str, Callable[[], None]], None]
) -> None:
    def upload() -> None:
        reply = flask.ask(
            "/upload", multipart(file=PICTURE), f"multipart/form-data; boundary={BOUNDARY}"
        )
        assert (reply.status, reply.text) == (200, f'{{"file":"{CHECKSUM}"}}\n')
        reply = flask.ask("/raw", (PICTURE[:1000], PICTURE[1000:]), "application/octet-stream")
        assert (reply.status, reply.text) == (200, CHECKSUM)
        for size in (100_000, 10_000_000):
            refused = flask.ask("/members", bytes(size), "application/octet-stream")
            assert refused.status == 401
            assert "Unauthorized" in refused.text

    cold_and_warm(flask.host, upload)


def test_django_serves_pages_forms_static_files_and_uploads(
    django: Visitor, cold_and_warm: Callable[[str, Callable[[], None]], None]
) -> None:
    names = iter(["Ada", "Guido"])

    def sign() -> None:
        name = next(names)
        page = django.ask("/").text
        (token,) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        form = f"csrfmiddlewaretoken={token}&name={name}".encode()
        reply = django.ask("/", form, "application/x-www-form-urlencoded")
        assert (reply.status, reply.headers["location"]) == (302, "/")
        assert f"<li>{name}</li>" in django.ask("/").text

        parts = multipart(csrfmiddlewaretoken=token.encode(), file=PICTURE)
        reply = django.ask("/upload", parts, f"multipart/form-data; boundary={BOUNDARY}")
        assert (reply.status, reply.text) == (200, CHECKSUM)

    def look() -> None:
        style = django.ask("/static/site.css")
        assert (style.status, style.body) == (200, (PROJECT / "shop/static/site.css").read_bytes())
        assert "Django administration" in django.ask("/admin/login/").text

    cold_and_warm(django.host, sign)
    cold_and_warm(django.host, look)
