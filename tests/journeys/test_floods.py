"""More visitors, or more sleeping apps to wake, than a machine can serve at once."""

import asyncio
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from emperor.model.policy import SHORTEST_SERVICE_SECONDS
from tests.backend import Backend
from tests.eventually import eventually
from tests.journeys.boots import history, most_at_once
from tests.journeys.visits import visit, visit_all

Start = Callable[..., Backend]


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
    """Wait until the app is starting: queued at place `turn`, or with a process if that is None."""

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
