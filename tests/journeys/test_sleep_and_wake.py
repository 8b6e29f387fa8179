"""The main job: a dropped ini becomes a web app that sleeps and wakes."""

import asyncio
import hashlib
import os
import resource
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.backend import APPS, BIN, Backend, UnixConnection, ends_after
from tests.eventually import eventually

HOST = "www.obeythetestinggoat.com"


def test_a_reply_says_how_long_it_waited_for_the_start(start: Callable[..., Backend]) -> None:
    backend = start(wake_header="true")
    backend.add(HOST)
    waited = backend.get(HOST).headers["x-emperord-wake"]
    wake = backend.detail(HOST)["wake"]
    assert wake["accepting_ms"] <= int(waited.removesuffix("ms")) + 1
    assert "x-emperord-wake" not in backend.get(HOST).headers


def test_the_talks_ini_wakes_is_reaped_and_wakes_again(backend: Backend) -> None:
    socket = backend.sockets / HOST / "socket"
    backend.drop(HOST, f"[uwsgi]\nsocket = {socket}\nfile = {APPS}/plain.py\nidle = 2\n")
    backend.until(HOST, "parked")
    inode = backend.inode(HOST)
    at_rest = backend.fds

    first = backend.get(HOST)
    assert first.status == 200
    assert HOST in first.text
    assert backend.state(HOST) == "running"
    assert backend.get(HOST).text == first.text, "the same worker"

    backend.until(HOST, "parked")
    assert not backend.children(), "a sleeping app has no process"
    assert backend.fds == at_rest

    second = backend.get(HOST)
    assert second.status == 200
    assert second.text.split()[0] != first.text.split()[0], "another worker"
    assert backend.inode(HOST) == inode
    backend.until(HOST, "parked")
    assert backend.fds == at_rest


def test_an_unknown_domain_is_404_and_an_impossible_one_400(
    backend: Backend,
) -> None:
    assert backend.get("unknown.example").status == 404
    page = backend.browse("unknown.example")
    assert page.status == 404
    assert "<h1>No such site</h1>" in page.text
    assert backend.get("..").status == 400
    assert backend.get("a;b.example").status == 421


def test_a_connection_wakes_an_app_under_socket_activation(
    start: Callable[..., Backend],
) -> None:
    backend = start(activation="socket")
    backend.add("a.example")
    assert backend.get("a.example").status == 200
    detail = backend.detail("a.example")
    assert detail["wake"]["by"] == "connection"


def test_why_tells_who_woke_it_and_how_long_each_phase_took(backend: Backend) -> None:
    backend.add("a.example")
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    backend.get("a.example", headers={"traceparent": trace})
    wake = eventually(
        lambda: (w := backend.detail("a.example")["wake"]) and w["first_reply_ms"] and w
    )
    assert wake["by"] == "hit"
    assert wake["client"] == "127.0.0.1"
    assert (wake["method"], wake["path"]) == ("GET", "/")
    assert wake["request_id"]
    assert wake["traceparent"] == trace
    phases = [wake[f"{name}_ms"] for name in ("spawned", "loaded", "accepting", "first_reply")]
    assert phases == sorted(phases)
    status = backend.vassal("a.example")
    assert status
    assert status["reap_at"] > status["last_hit_at"]
    assert status["rss_bytes"] > 1_000_000


async def herd(port: int, host: str, size: int) -> Counter[str]:
    """Status lines of so many requests that are all under way at the same time."""

    async def ask() -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        try:
            return (await reader.read()).decode().split("\r\n")[0]
        finally:
            writer.close()

    return Counter(await asyncio.gather(*(ask() for _ in range(size))))


@pytest.mark.parametrize("activation", ["fallback", "socket"])
async def test_5000_hits_on_a_cold_app_make_one_start(
    start: Callable[..., Backend], folder: Path, activation: str
) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    backend = start(activation=activation)
    # More than the socket's queue holds: the fallback holds them, as it does under `fallback`.
    backend.nginx.expect(r"herd.example/socket failed \(11: Resource temporarily unavailable")
    boots = folder / "boots"
    backend.drop(
        "herd.example",
        backend.ini("herd.example", env=f"BOOTS={boots}") + "env = BOOT_SECONDS=3\nprocesses = 2\n",
    )
    backend.until("herd.example", "parked")
    statuses = await herd(backend.nginx.port, "herd.example", 5000)
    assert statuses == {"HTTP/1.1 200 OK": 5000}
    assert len(boots.read_text().splitlines()) == 1


def test_a_large_post_to_a_cold_app_arrives_whole_and_once(backend: Backend, folder: Path) -> None:
    runs = folder / "runs"
    runs.touch(0o666)
    backend.add("a.example", env=f"RUNS={runs}")
    body = os.urandom(5_000_000)
    reply = backend.post("a.example", body, "/?id=large")
    assert reply.status == 200
    assert reply.text.split()[2:] == ["5000000", hashlib.sha256(body).hexdigest()]
    assert runs.read_text() == "POST large\n"


def test_a_monitor_with_a_browsers_accept_is_held(
    start: Callable[..., Backend],
) -> None:
    backend = start(page_after="0.05")
    backend.add("a.example", env="BOOT_SECONDS=1")
    reply = backend.get("a.example", headers={"Accept": "text/html,application/xhtml+xml"})
    assert reply.status == 200


def test_a_post_whose_app_dies_in_the_middle_ran_once(backend: Backend, folder: Path) -> None:
    runs = folder / "runs"
    backend.nginx.expect("upstream prematurely closed connection")
    backend.add("a.example", env=f"RUNS={runs}")
    reply = backend.post("a.example", b"pay", "/?id=payment&die=1")
    assert reply.status == 502
    assert "not repeated" in reply.text
    assert runs.read_text() == "POST payment\n"
    assert backend.get("a.example").status == 200, "its master gave it another worker"


def test_a_hit_in_an_idle_stop_is_served_by_the_successor(backend: Backend) -> None:
    gate = backend.folder / "gate"
    os.mkfifo(gate)
    backend.add("a.example", idle="1", hook_as_user_atexit=ends_after(f"cat {gate}"))
    old = backend.get("a.example").text.split()[0]
    backend.until("a.example", "stopping")
    reply = backend.get("a.example")
    assert reply.status == 200
    assert reply.text.split()[0] != old
    assert backend.detail("a.example")["predecessor_pid"], "the old one has not gone yet"
    gate.write_bytes(b"")
    gate.unlink()


def test_the_ini_of_another_user_runs_as_that_user(
    start: Callable[..., Backend], folder: Path
) -> None:
    # The checkout may lie where that user cannot go.
    for path in (BIN / "uwsgi", APPS / "plain.py"):
        shutil.copy(path, folder)
    backend = start(uwsgi_binary=f"{folder}/uwsgi")
    backend.drop("a.example", backend.ini("a.example", file=f"{folder}/plain.py"))
    os.chown(backend.vassals / "a.example.ini", 65534, 65534)
    backend.until("a.example", "parked")
    assert backend.get("a.example").status == 200
    assert {process.uids().real for process in backend.children()} == {65534}


@pytest.mark.parametrize("kind", ["gevent", "asyncio"])
def test_other_kinds_of_apps_wake_too(backend: Backend, kind: str) -> None:
    greenlets = {"gevent": "4"} if kind == "gevent" else {"asyncio": "4", "greenlet": "true"}
    backend.add("a.example", virtualenv=sys.prefix, **greenlets)
    inode = backend.inode("a.example")
    assert [backend.get("a.example").status for _ in range(5)] == [200] * 5
    assert backend.inode("a.example") == inode
    assert backend.state("a.example") == "running"


def test_an_app_for_another_front_end_speaks_its_protocol(backend: Backend) -> None:
    path = backend.sockets / "a.example" / "socket"
    options = f"http-socket = {path}\nfile = {APPS}/plain.py"
    backend.drop("a.example", f"[uwsgi]\n{options}\n[emperor]\nactivation = socket\n")
    backend.until("a.example", "parked")
    connection = UnixConnection(path)
    connection.request("GET", "/", headers={"Host": "a.example"})
    assert connection.getresponse().status == 200
    connection.close()
    assert backend.state("a.example") == "running"


@pytest.mark.parametrize("option", ["master", "cheap"])
def test_options_that_would_silence_uwsgi_are_overruled(backend: Backend, option: str) -> None:
    backend.add("a.example", idle="1", **{option: str(option == "cheap").lower()})
    assert backend.get("a.example").status == 200
    backend.until("a.example", "parked")
    assert not backend.children()
