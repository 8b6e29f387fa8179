"""How one notice is sent: by a real command, and to real servers, also those that misbehave."""

import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from emperor.linux.limits import machine_for_limits
from emperor.model.limits import LimitSettings
from emperor.model.notice import Notice, NoticeKind, NoticeSubject
from emperor.notices import senders
from emperor.notices.senders import (
    CommandSender,
    Delivery,
    DeliveryStatus,
    HttpSender,
    body_of,
    read_secret,
)
from emperor.uwsgi.bounds import Bounds
from tests.etcd_cluster import Authority

SECRET = "s" * 16
NOW = datetime(2026, 3, 1, tzinfo=UTC)
SUBJECT = NoticeSubject("a.example", 1000, "\N{SNOWMAN} fails")
NOTICE = Notice("1", NoticeKind.APP_FAILED, NOW, "web1", "a.example fails", 1, (SUBJECT,))

Answer = Callable[[socket.socket], None]


class _NoGroups:
    """As where no control group can be made."""

    def group(self, _name: str) -> None:
        return None


@pytest.fixture
def bounds() -> Bounds:
    return Bounds(_NoGroups(), LimitSettings(), machine_for_limits(), (1024, 1024))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "SECONDS", 5.0)
    monkeypatch.setattr(senders, "_ANSWER_SECONDS", 0.5)


@contextmanager
def answering(answer: Answer) -> Iterator[int]:
    """A server that does that with each connection; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def says(text: str) -> Answer:
    """Reads the request, and answers that."""

    def answer(connection: socket.socket) -> None:
        head = connection.recv(65536).decode()
        while body_of(NOTICE) not in head:
            head += connection.recv(65536).decode()
        assert "\nX-Emperord-Signature: sha256=" in head
        connection.sendall(text.encode())

    return answer


def hangs(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def drips(connection: socket.socket) -> None:
    """A byte of an endless head each moment."""
    connection.settimeout(0.1)
    try:
        while True:
            connection.sendall(b"x")
            try:
                connection.recv(65536)
            except TimeoutError:
                continue
    except OSError:
        pass


def is_no_tls(connection: socket.socket) -> None:
    connection.recv(100)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def _secret(folder: Path) -> Path:
    file = folder / "secret"
    file.write_text(SECRET)
    file.chmod(0o600)
    return file


@pytest.mark.parametrize(
    ("scheme", "answer", "expected"),
    [
        ("http", says("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"),
         Delivery(DeliveryStatus.SENT, "HTTP 200")),
        ("http", says("HTTP/1.1 204 No Content\r\n\r\n"),
         Delivery(DeliveryStatus.SENT, "HTTP 204")),
        ("http", says("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n"),
         Delivery(DeliveryStatus.FAILED, "HTTP 302")),
        ("http", says("HTTP/1.1 404 Not Found\r\n\r\n"),
         Delivery(DeliveryStatus.FAILED, "HTTP 404")),
        ("http", says("HTTP/1.1 429 Too Many\r\n\r\n"), Delivery(DeliveryStatus.RETRY, "HTTP 429")),
        ("http", says("HTTP/1.1 500 Fault\r\n\r\n"), Delivery(DeliveryStatus.RETRY, "HTTP 500")),
        ("http", says("\x1b[2J\n"), Delivery(DeliveryStatus.RETRY, r"\x1b[2J")),
        ("http", hangs, Delivery(DeliveryStatus.RETRY, "timed out")),
        ("https", is_no_tls, None),
    ],
)  # fmt: skip
async def test_what_comes_of_a_request(
    tmp_path: Path, bounds: Bounds, scheme: str, answer: Answer, expected: Delivery | None
) -> None:
    with answering(answer) as port:
        sender = HttpSender(f"{scheme}://127.0.0.1:{port}/x", _secret(tmp_path), bounds)
        delivery = await sender.send(NOTICE, NOW)
    assert delivery == (expected or Delivery(DeliveryStatus.RETRY, delivery.why))


async def test_a_server_that_drips_is_left_in_time(
    tmp_path: Path, bounds: Bounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(senders, "SECONDS", 1.0)
    with answering(drips) as port:
        delivery = await HttpSender(f"http://127.0.0.1:{port}", _secret(tmp_path), bounds).send(
            NOTICE, NOW
        )
    assert delivery == Delivery(DeliveryStatus.RETRY, "killed by SIGTERM; it may take 1 s")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:{}/", "Connection refused"),
        ("https://127.0.0.1:{}/", "Connection refused"),
        ("http://no-such-host.invalid:{}/", ""),
    ],
)
async def test_a_peer_that_is_not_there_may_come(
    tmp_path: Path, bounds: Bounds, url: str, why: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    sender = HttpSender(url.format(port), _secret(tmp_path), bounds)
    delivery = await sender.send(NOTICE, NOW)
    assert delivery.status is DeliveryStatus.RETRY
    assert why in delivery.why


async def test_a_certificate_must_be_valid_for_the_host(
    tmp_path: Path, bounds: Bounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One without a key usage, which Python refuses by default from 3.13 on.
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.issue("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def answer(connection: socket.socket) -> None:
        try:
            with context.wrap_socket(connection, server_side=True) as secure:
                says("HTTP/1.1 204 No Content\r\n\r\n")(secure)
        except OSError:
            pass

    with answering(answer) as port:
        secret = _secret(tmp_path)
        delivery = await HttpSender(f"https://localhost:{port}", secret, bounds).send(NOTICE, NOW)
        assert delivery.status is DeliveryStatus.RETRY
        assert delivery.why.startswith("its certificate is not valid: unable to get local")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        delivery = await HttpSender(f"https://localhost:{port}", secret, bounds).send(NOTICE, NOW)
        assert delivery == Delivery(DeliveryStatus.SENT, "HTTP 204")
        delivery = await HttpSender(f"https://127.0.0.1:{port}", secret, bounds).send(NOTICE, NOW)
        assert "not valid for '127.0.0.1'" in delivery.why


def _replace_by_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda file: file.chmod(0o640), "others than root can read it"),
        (lambda file: os.chown(file, 1000, 0), "others than root can read it"),
        (lambda file: file.write_text("short"), "it must have 16 to 4096 bytes"),
        (lambda file: file.write_text("x" * 5000), "it must have 16 to 4096 bytes"),
        (lambda file: (file.unlink(), file.mkdir()), "it is not a file"),
        (_replace_by_pipe, "it is not a file"),
    ],
)
def test_a_secret_is_roots_alone(tmp_path: Path, change: Callable[[Path], Any], why: str) -> None:
    file = _secret(tmp_path)
    assert read_secret(file) == SECRET.encode()
    change(file)
    with pytest.raises(ValueError, match=why):
        read_secret(file)


async def test_a_secret_that_cannot_be_read_is_told(tmp_path: Path, bounds: Bounds) -> None:
    sender = HttpSender("http://user:word@127.0.0.1:1/token?x", tmp_path / "none", bounds)
    delivery = await sender.send(NOTICE, NOW)
    assert delivery == Delivery(
        DeliveryStatus.RETRY, f"cannot read {tmp_path}/none: No such file or directory"
    )
    assert sender.where == "http://127.0.0.1:1", "the log has neither the token nor the word"


def _command(folder: Path, script: str) -> str:
    file = folder / "command"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(file)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ('cat >"$1"; pwd', Delivery(DeliveryStatus.SENT, "/")),
        ("exit 0", Delivery(DeliveryStatus.SENT, "exit status 0")),  # its input is not read
        ("echo no mail today >&2; exit 75", Delivery(DeliveryStatus.RETRY, "no mail today")),
        (
            "printf 'no\\033[2J such user\\n\\n'; exit 67",
            Delivery(DeliveryStatus.FAILED, r"no\x1b[2J such user"),
        ),
        ("sleep 1000", Delivery(DeliveryStatus.FAILED, "killed by SIGTERM; it may take 1 s")),
        ("kill -9 $$", Delivery(DeliveryStatus.FAILED, "killed by SIGKILL; it may take 1 s")),
    ],
)
async def test_what_comes_of_a_command(
    tmp_path: Path, bounds: Bounds, script: str, expected: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(senders, "SECONDS", 1.0)
    sender = CommandSender((_command(tmp_path, script), str(tmp_path / "got")), bounds)
    assert await sender.send(NOTICE, NOW) == expected
    if script.startswith("cat"):
        assert (tmp_path / "got").read_text() == body_of(NOTICE) + "\n"
        assert body_of(NOTICE).isascii()


async def test_a_command_that_others_can_change_is_not_run(tmp_path: Path, bounds: Bounds) -> None:
    command = _command(tmp_path, "touch $1")
    os.chown(command, 1000, 1000)
    for path, why in (
        (command, f"cannot run {command}: others than root can change {command}"),
        (f"{tmp_path}/none", f"cannot run {tmp_path}/none: No such file or directory"),
    ):
        delivery = await CommandSender((path, str(tmp_path / "ran")), bounds).send(NOTICE, NOW)
        assert delivery == Delivery(DeliveryStatus.FAILED, why)
    assert not (tmp_path / "ran").exists()
