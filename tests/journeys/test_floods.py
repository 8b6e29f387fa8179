"""More visitors, and at more sleeping apps, than a machine can take in at once."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import pytest

from emperor.model.policy import SHORTEST_SERVICE_SECONDS
from tests.backend import Backend
from tests.eventually import eventually

Start = Callable[..., Backend]

_SLOW = "boots for long"


async def visit(port: int, host: str, navigates: bool = False) -> tuple[int, str]:
    """Status and body of one request."""
    kind = "Sec-Fetch-Mode: navigate\r\n" if navigates else ""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\n{kind}Connection: close\r\n\r\n".encode())
    try:
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    finally:
        writer.close()
    return int(head.split()[1]), body


async def visit_all(backend: Backend, hosts: Iterable[str]) -> Counter[int]:
    """Status codes of a request to each, all under way at the same time."""
    replies = await asyncio.gather(*(visit(backend.nginx.port, host) for host in hosts))
    return Counter(status for status, _ in replies)


def most_at_once(notes: Path) -> int:
    """How many apps, by their own notes, were booting at the same time."""
    now = most = 0
    for line in notes.read_text().splitlines():
        now += 1 if line == "begins" else -1
        most = max(most, now)
    return most


def history(backend: Backend) -> list[str]:
    """What happened to any vassal, in order, by the daemon's log: it `waits` and `moves on`, or
    `boots` at once; it `is slow` and loses its place; it `accepts`; it `is gone`."""
    lines = backend.lines(rf" INFO \S+: (\w+ → \w+: |{_SLOW})")
    told = [line.split(maxsplit=4)[3:] for line in lines]
    slow = set()
    happened = []
    for number, (domain, what) in enumerate(told):
        if what.startswith(_SLOW):
            slow.add(domain)
            happened.append("is slow")
        elif "its turn to boot" in what:
            happened.append("moves on")
        elif what.startswith("parked → starting"):
            follows = next((w for d, w in told[number + 1 :] if d == domain), "")
            happened.append("waits" if "its turn to boot" in follows else "boots")
        elif what.startswith("starting → running"):
            happened.append("accepts" if domain not in slow else "accepts late")
            slow.discard(domain)
        elif what.startswith("stopping → parked"):
            happened.append("is gone")
    return happened


@pytest.mark.parametrize("activation", ["fallback", "socket"])
async def test_60_cold_apps_are_served_by_four_boots_at_a_time(
    start: Start, folder: Path, activation: str
) -> None:
    backend = start(activation=activation, max_starting="4")
    notes = folder / "notes"
    notes.touch(0o666)
    hosts = [f"{number}.example" for number in range(60)]
    for host in hosts:
        backend.drop(host, backend.ini(host, env=f"BOOTING={notes}"))
    for host in hosts:
        backend.until(host, "parked")
    assert await visit_all(backend, hosts) == {200: 60}
    assert notes.read_text().count("begins") == 60
    # Behind an open door an app may answer before the daemon has heard that it accepts.
    eventually(lambda: len(backend.lines("→ running")) == 60, what="all 60 run")
    happened = history(backend)
    assert most_at_once(notes) <= 4 + happened.count("is slow"), "this machine may be busy"
    booting = in_line = 0
    for what, after in pairwise([*happened, "that is all"]):
        booting += (what in ("boots", "moves on")) - (what in ("accepts", "is slow"))
        in_line += (what == "waits") - (what == "moves on")
        assert booting <= 4
        if in_line and booting < 4:
            assert after in ("moves on", "is slow"), "a place was idle while somebody waited"
    assert (booting, in_line) == (0, 0)


async def test_one_in_line_says_so_and_goes_first_when_a_person_asks(
    start: Start, folder: Path
) -> None:
    backend = start(max_starting="1", page_after="0.05")
    gate = folder / "gate"
    asked = []
    for turn, host in enumerate(("a.example", "b.example", "c.example")):
        backend.add(host, env=f"GATE={gate}")
        asked.append(asyncio.create_task(visit(backend.nginx.port, host)))
        await asyncio.to_thread(_until_in_line, backend, host, turn or None)
    code, page = await visit(backend.nginx.port, "c.example", navigates=True)
    assert (code, "<h1>Starting up</h1>" in page) == (503, True)
    _until_in_line(backend, "c.example", 1)
    _until_in_line(backend, "b.example", 2)
    gate.touch()
    assert [status for status, _ in await asyncio.gather(*asked)] == [200, 200, 200]
    running = [line.split()[3] for line in backend.lines("→ running")]
    assert running == ["a.example:", "c.example:", "b.example:"]


def _until_in_line(backend: Backend, host: str, turn: int | None) -> None:
    """Wait until it starts: without a process in that place of the line, or with one."""

    def starts() -> bool:
        vassal = backend.vassal(host)
        assert vassal
        stands = (vassal["boot_position"], vassal["pid"] is None) == (turn, turn is not None)
        return vassal["state"] == "starting" and stands

    eventually(starts, what=f"{host} starts, in line: {turn}")


def test_one_too_many_puts_the_longest_unused_to_sleep(start: Start) -> None:
    backend = start(max_running="2")
    for host in ("a.example", "b.example", "c.example"):
        backend.add(host)
    assert backend.get("a.example").status == 200
    assert backend.get("b.example").status == 200
    accepts = time.monotonic()
    eventually(lambda: time.monotonic() > accepts + SHORTEST_SERVICE_SECONDS)
    backend.call("POST", "/v1/rescan")  # as the daemon itself does once a minute
    assert backend.get("a.example").status == 200
    assert backend.get("c.example").status == 200
    backend.until("b.example", "parked")
    assert backend.detail("b.example")["last_stop"]["reason"] == "evicted for c.example"
    assert backend.state("a.example") == "running"
    assert backend.get("b.example").status == 200, "it wakes as ever"


@pytest.mark.parametrize("activation", ["fallback", "socket"])
async def test_more_apps_than_may_run_are_served_in_turn(start: Start, activation: str) -> None:
    backend = start(activation=activation, max_running="3", max_starting="2")
    hosts = [f"{number}.example" for number in range(9)]
    for host in hosts:
        backend.drop(host, backend.ini(host))
    for host in hosts:
        backend.until(host, "parked")
    assert await visit_all(backend, hosts) == {200: 9}
    present = 0
    for what in history(backend):
        present += (what in ("boots", "moves on")) - (what == "is gone")
        assert present <= 3
    assert backend.lines("evicted for")
