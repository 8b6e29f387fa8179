"""The certificate that a client is shown, by the name that it asks for (SNI)."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.balancer.backends import three
from tests.balancer.certificates import (
    DEFAULT,
    NAME,
    PROBLEM,
    WEAK,
    Counter,
    encrypted,
    make,
    trusting,
    until,
)
from tests.balancer.fleet import running
from tests.eventually import eventually


@pytest.fixture
async def counter(folder: Path) -> AsyncIterator[Counter]:
    # One worker, so that it is known how often a problem is logged.
    one = {"worker_processes auto": "worker_processes 1"}
    async with running(folder, three(), one) as fleet:
        yield Counter(fleet)


async def test_each_name_has_a_certificate_of_its_own(counter: Counter, tmp_path: Path) -> None:
    pairs = {name: make(tmp_path, name) for name in (NAME, "other.example")}
    for name, pair in pairs.items():
        counter.install(name, pair.file)
    for _ in range(2):
        assert {name: counter.shown(name) for name in pairs} == {
            name: pair.der for name, pair in pairs.items()
        }
    assert counter.shown(NAME.upper()) == pairs[NAME].der


async def test_a_wildcard_serves_names_below_that_have_no_other(
    counter: Counter, tmp_path: Path
) -> None:
    wildcard, own = make(tmp_path, "*.example.com"), make(tmp_path, NAME)
    counter.install("_wildcard.example.com", wildcard.file)
    counter.install(NAME, own.file)
    assert counter.shown("shop.example.com") == wildcard.der
    assert counter.shown(NAME) == own.der
    assert counter.shown("a.b.example.com") == counter.shown("example.com") == DEFAULT


HOSTILE = [
    "../secret/evil", "www/../../secret/evil", "..%2fsecret%2fevil", "../certs/www.example.com",
    "www.example.com/", "/etc/passwd", "www.example.com\x01", "*.example.com", "*", ".", "..",
    "a" * 255,
]  # fmt: skip


async def test_an_unknown_name_gets_the_default_certificate(
    counter: Counter, tmp_path: Path
) -> None:
    pair = make(tmp_path, NAME)
    counter.install(NAME, pair.file)
    secret = counter.certificates.parent / "secret"
    for folder in (counter.certificates / "www", secret):
        folder.mkdir()
    (secret / "evil.pem").write_text(pair.file)
    for name in ("unknown.example", *HOSTILE):
        assert counter.shown_to_the_odd("-servername", name) == DEFAULT, name
    assert counter.shown_to_the_odd("-servername", NAME) == pair.der


async def test_a_client_without_a_name_gets_the_default_certificate(counter: Counter) -> None:
    assert counter.shown_to_the_odd("-noservername") == DEFAULT


async def test_a_new_certificate_is_served_without_a_reload(
    counter: Counter, tmp_path: Path
) -> None:
    old, new = make(tmp_path, NAME), make(tmp_path, NAME)
    assert counter.shown(NAME) == DEFAULT
    counter.install(NAME, old.file)
    assert counter.shown(NAME) == old.der
    counter.install(NAME, new.file)
    await asyncio.to_thread(eventually, lambda: counter.shown(NAME) == new.der)


async def test_a_certificate_that_vanishes_is_served_on(counter: Counter, tmp_path: Path) -> None:
    counter.balancer.expect(f"{PROBLEM}.* it is gone; serving the one before")
    own, wildcard = make(tmp_path, NAME), make(tmp_path, "*.example.net")
    counter.install(NAME, own.file)
    counter.install("_wildcard.example.net", wildcard.file)
    served = {NAME: own.der, "shop.example.net": wildcard.der, "unknown.example": DEFAULT}

    def shown() -> dict[str, bytes]:
        return {name: counter.shown(name) for name in served}

    assert shown() == served
    away = counter.certificates.rename(counter.certificates.with_name("away"))
    await asyncio.to_thread(eventually, lambda: shown() == served and len(counter.problems) == 2)
    workers = counter.balancer.workers()
    counter.balancer.reload()
    await asyncio.to_thread(eventually, lambda: not workers & counter.balancer.workers())
    assert shown() == served
    assert len(counter.problems) == 2, "one line for each, whatever worker looks"
    away.rename(counter.certificates)
    assert shown() == served
    assert len(counter.said("is there again")) == 2
    new = make(tmp_path, NAME)
    counter.install(NAME, new.file)
    await asyncio.to_thread(eventually, lambda: counter.shown(NAME) == new.der)


async def test_a_certificate_is_removed_in_favour_of_its_wildcard(
    counter: Counter, tmp_path: Path
) -> None:
    counter.balancer.expect(PROBLEM)
    own, wildcard = make(tmp_path, NAME), make(tmp_path, "*.example.com")
    counter.install(NAME, own.file)
    counter.install("_wildcard.example.com", wildcard.file)
    assert counter.shown(NAME) == own.der
    (counter.certificates / f"{NAME}.pem").unlink()
    await asyncio.to_thread(eventually, lambda: counter.shown(NAME) == wildcard.der)
    assert counter.problems == []
    (counter.certificates / "_wildcard.example.com.pem").unlink()
    await asyncio.to_thread(
        eventually, lambda: counter.shown(NAME) == wildcard.der and counter.problems
    )
    assert counter.shown(NAME) == wildcard.der


async def test_a_certificate_that_expires_is_told_of_once(counter: Counter, tmp_path: Path) -> None:
    counter.balancer.expect("the certificate .* (has expired|expires soon): 2")
    now = datetime.now(UTC)
    ends = {"old.example": -1, "soon.example": 13, "later.example": 15}
    pairs = {
        name: until(make(tmp_path, name), now + timedelta(days=days)) for name, days in ends.items()
    }
    for name, pair in pairs.items():
        counter.install(name, pair.file)

    def shown() -> dict[str, bytes]:
        return {name: counter.shown(name) for name in pairs}

    served = {name: pair.der for name, pair in pairs.items()}
    assert shown() == served
    workers = counter.balancer.workers()
    counter.balancer.reload()
    await asyncio.to_thread(eventually, lambda: not workers & counter.balancer.workers())
    assert shown() == served
    [expired], [soon] = counter.said(" has expired: "), counter.said(" expires soon: ")
    assert f"old.example.pem has expired: {now - timedelta(days=1):%Y-%m-%d }" in expired
    assert f"soon.example.pem expires soon: {now + timedelta(days=13):%Y-%m-%d }" in soon


async def test_a_broken_file_is_logged_once_and_the_old_one_serves(
    counter: Counter, tmp_path: Path
) -> None:
    counter.balancer.expect(PROBLEM)
    old, new = make(tmp_path, NAME), make(tmp_path, NAME)
    weak = make(tmp_path, NAME, kind=WEAK)
    broken = {
        "without a key": new.certificate,
        "with another's key": new.certificate + old.key,
        "cut off": new.file[: len(new.certificate) - 100],
        "empty": "",
        "too weak for OpenSSL": weak.file,
        "with a weak one on the way to its root": new.certificate + weak.certificate + new.key,
        "with a key that asks for a pass phrase": new.certificate + encrypted(tmp_path, new),
        "without an end": new.file + "x" * 300_000,
    }
    counter.install(NAME, old.file)
    assert counter.shown(NAME) == old.der
    for times, text in enumerate(broken.values(), 1):
        counter.install(NAME, text)

        def noticed(times: int = times) -> bool:
            assert counter.shown(NAME) == old.der
            return len(counter.problems) == times

        await asyncio.to_thread(eventually, noticed)
    counter.install(NAME, new.file)
    await asyncio.to_thread(eventually, lambda: counter.shown(NAME) == new.der)
    assert len(counter.problems) == len(broken)
    assert all(
        f"{NAME}.pem: " in line and "serving the one before" in line for line in counter.problems
    )


async def test_a_certificate_that_nginx_cannot_read_is_logged(
    counter: Counter, tmp_path: Path
) -> None:
    counter.balancer.expect(PROBLEM)
    counter.install(NAME, make(tmp_path, NAME).file)
    (counter.certificates / f"{NAME}.pem").chmod(0o600)
    (counter.certificates / "folder.example.pem").mkdir()
    os.mkfifo(counter.certificates / "fifo.example.pem")
    (counter.certificates / "fifo.example.pem").chmod(0o644)
    for _ in range(3):
        assert counter.shown(NAME) == DEFAULT
        assert counter.shown("folder.example") == counter.shown("fifo.example") == DEFAULT
    [unreadable, folder, fifo] = counter.problems
    assert "Permission denied; serving the default" in unreadable
    assert "folder.example.pem: Is a directory" in folder
    assert "fifo.example.pem: it is empty" in fifo


async def test_odd_names_push_out_nothing_that_is_served(folder: Path, tmp_path: Path) -> None:
    few = {"CAPACITY = 2000": "CAPACITY = 2", "worker_processes auto": "worker_processes 1"}
    async with running(folder, three(), few) as fleet:
        counter, pair = Counter(fleet), make(tmp_path, NAME)
        counter.balancer.expect(PROBLEM)
        counter.install(NAME, pair.file)
        assert counter.shown(NAME) == pair.der
        counter.certificates.chmod(0o700)
        for number in range(5):
            assert counter.shown(f"odd{number}.example") == DEFAULT
        assert counter.shown(NAME) == pair.der


async def test_the_certificates_between_it_and_its_root_are_sent(
    counter: Counter, tmp_path: Path
) -> None:
    root = make(tmp_path, "Root", authority=True)
    between = make(tmp_path, "Between", issuer=root, authority=True)
    own = make(tmp_path, NAME, issuer=between)
    counter.install(NAME, own.certificate + between.certificate + own.key)
    with counter.connect(NAME, trusting(root.certificate)) as connection:
        assert connection.getpeercert(binary_form=True) == own.der


async def test_a_request_goes_by_its_host_not_by_its_tls_name(
    counter: Counter, tmp_path: Path
) -> None:
    """A browser uses one connection for several hosts of one certificate."""
    counter.install(NAME, make(tmp_path, NAME).file)
    first, *_ = counter.fleet.backends
    [host] = counter.fleet.hosts(first, 1)

    def get() -> bytes:
        with counter.connect(NAME, trusting()) as connection:
            connection.sendall(
                f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
            )
            return b"".join(iter(lambda: connection.recv(65536), b""))

    assert (await asyncio.to_thread(get)).endswith(first.address.encode())
    assert first.heard[0].host == host


async def test_http_2_is_offered(counter: Counter) -> None:
    context = trusting()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with counter.connect(NAME, context) as connection:
        assert connection.selected_alpn_protocol() == "h2"
