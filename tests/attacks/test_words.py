"""Words of tenants and visitors steer no terminal, and write no line of their own."""

import unicodedata
from collections.abc import Iterator

import pytest

from tests.attacks.peers import emperorctl
from tests.attacks.tenants import ALICE, MALLORY, Tenants
from tests.eventually import eventually
from tests.http_client import send

FAILS, REFUSED, HERS = "fails.example", "refused.example", "alice.example"
# Clears a terminal, gives it a title, changes its colour, and writes from right to left.
WORDS = "\x1b[2J\x1b]0;title\x07\x9b31m\u202e\u2066\x08words"


def steering(text: str) -> set[str]:
    """The characters of a text that are not to be seen, but for the ends of lines."""
    return {char for char in text if char != "\n" and unicodedata.category(char)[0] == "C"}


@pytest.fixture(scope="module", autouse=True)
def sites(tenants: Tenants) -> Iterator[None]:
    """An app fails, an ini is refused, and a visitor asks, each with such words."""
    tenants.expect(f"(cannot serve {REFUSED}.ini: |{FAILS}: starting → throttled: )")
    tenants.host(MALLORY, FAILS, "shouting.py")
    assert tenants.get(FAILS).status == 503
    tenants.drop_of(MALLORY, REFUSED, emperor=f"idle = {WORDS}")
    tenants.host(ALICE, HERS)
    headers = f"Host: {HERS}\r\nUser-Agent: {WORDS}\r\nX-Request-Id: {WORDS}\r\n"
    headers += f"Traceparent: {WORDS}\r\nReferer: {WORDS}\r\nX-Emperord-Wake: {WORDS}\r\n"
    # nginx refuses a path with characters below 0x20.
    request = f"GET /\x9b\u202ewords HTTP/1.0\r\n{headers}\r\n"
    assert send(tenants.nginx.port, request.encode()).status == 200
    eventually(lambda: REFUSED in tenants.refusals())
    yield
    for domain in (FAILS, REFUSED, HERS):
        tenants.remove(domain)
        tenants.until(domain, None)


def test_no_command_sends_words_that_steer_a_terminal(tenants: Tenants) -> None:
    lines = ["status", *(f"why {domain}" for domain in (FAILS, REFUSED, HERS)), "status --json"]
    lines += ["events --once", "events --once --json", "stats", "stats --json", "bases --modules"]
    printed = "".join(each.out + each.err for each in emperorctl("root", tenants.run_dir, *lines))
    assert printed.count("x1b[2J") > 4
    assert steering(printed) == set()


def test_the_log_of_the_daemon_has_no_such_words(tenants: Tenants) -> None:
    log = tenants.log.read_text()
    assert log.count("x1b[2J") > 1
    assert steering(log) == set()


def test_the_console_shows_words_as_text(tenants: Tenants) -> None:
    paths = ["", "vassals", *(f"vassals/{domain}" for domain in (FAILS, REFUSED, HERS))]
    pages = "".join(str(tenants.call("GET", f"/console/{path}")[1]) for path in paths)
    assert pages.count("x1b[2J") > 4
    assert steering(pages) == set()
