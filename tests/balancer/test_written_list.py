"""The list that emperord-balancer writes: taken up without a reload, and only if it can be used."""

import asyncio
import os
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from docs.examples.balancer import render
from emperor.cli.placement import Placement, Rule
from emperor.model.balancer_list import written
from emperor.model.slot_table import SlotTable
from emperor.model.slots import stretched
from tests.balancer.backends import ADDRESSES, three
from tests.balancer.fleet import REFUSED, Fleet, running
from tests.balancer.vectors import stock_index
from tests.eventually import eventually_async
from tests.http_client import Request
from tests.nginx_server import NginxServer, free_ports

A, B, C = ADDRESSES
SLOTS = 240


class Written:
    """The file of the list, as the agent of a balancer writes it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "backends.lua"

    def write(self, text: str) -> None:
        """Put a new file into the place of the old one."""
        draft = self.path.with_suffix(".new")
        draft.write_text(text)
        draft.replace(self.path)


def text(fleet: Fleet, serial: int, *backends: str) -> str:
    """The file of a table with so many slots."""
    ports = fleet.backends[0].ports
    return written(SlotTable(serial, stretched(backends, SLOTS), {}, ports))


def name_file(conf: Path, file: Path) -> None:
    """Have the list of the administrator name the file."""
    listed = conf.parent / "lua" / "init_backends.lua"
    listed.write_text(f'{listed.read_text()}web_server_file = "{file}"\n')


async def reload(fleet: Fleet) -> None:
    """Have new workers read all files."""
    # nginx that has just begun to start would forget the order.
    before = await eventually_async(fleet.balancer.workers)
    fleet.balancer.reload()
    await eventually_async(lambda: not before & fleet.balancer.workers())


@asynccontextmanager
async def followed(folder: Path) -> AsyncIterator[tuple[Fleet, Written]]:
    """A fleet whose balancer has taken up a first file, which names all backends."""
    file = Written(folder)
    async with running(folder, three()) as fleet:
        name_file(fleet.balancer.conf, file.path)
        file.write(text(fleet, 1, A, B, C))
        await reload(fleet)
        yield fleet, file


def hosts_of(backends: tuple[str, ...], address: str, many: int) -> list[str]:
    """So many hosts that belong to a backend by a table of these."""
    slots = stretched(backends, SLOTS)
    names = (f"shop{number}.example" for number in range(10_000))
    found = (name for name in names if slots[stock_index(name, SLOTS)] == address)
    return [next(found) for _ in range(many)]


async def until_taken(fleet: Fleet, serial: int) -> None:
    """A worker has the table with this serial; the others look as often."""
    said = f"table {serial}, "
    await eventually_async(
        lambda: any(said in line for line in fleet.balancer.error_lines()),
        seconds=10,
    )


async def until_everywhere(fleet: Fleet, host: str, address: str) -> None:
    """No worker sends the host elsewhere any more."""
    right = 0
    while right < 40:
        reply = await fleet.ask(Request(host))
        right = right + 1 if fleet.by(reply).address == address else 0


async def test_a_new_list_is_taken_up_under_load(folder: Path) -> None:
    async with followed(folder) as (fleet, file):
        workers = fleet.balancer.workers()
        [moves] = hosts_of((A, B), B, 1)
        statuses: list[int] = []
        is_over = asyncio.Event()

        async def visit(number: int) -> None:
            method = "POST" if number % 4 == 0 else "GET"
            while not is_over.is_set():
                host = f"shop{len(statuses) % 500}.example"
                reply = await fleet.ask(Request(host, method=method, body=b"x" * number))
                statuses.append(reply.status)

        async with asyncio.TaskGroup() as tasks:
            for number in range(8):
                tasks.create_task(visit(number))
            for serial, backends in enumerate([(A, B), (B, C), (C,), (A, B, C), (A, B)], 2):
                before = len(statuses)
                file.write(text(fleet, serial, *backends))
                await until_taken(fleet, serial)
                await eventually_async(lambda before=before: len(statuses) > before + 50)  # type: ignore[misc]
            await until_everywhere(fleet, moves, B)
            is_over.set()
        assert set(statuses) == {200}
        assert fleet.balancer.workers() == workers
        assert fleet.balancer.marks == []


async def test_the_marks_of_backends_that_stay_are_kept(folder: Path) -> None:
    async with followed(folder) as (fleet, file):
        fleet.balancer.expect(REFUSED)
        dead = fleet.backends[0]
        await dead.stop()
        await eventually_async(lambda: f"{A} unreachable" in fleet.balancer.marks)
        file.write(text(fleet, 2, A, B))
        await until_taken(fleet, 2)
        [host] = hosts_of((A, B), A, 1)
        await until_everywhere(fleet, host, B)
        assert fleet.balancer.marks == [f"{A} unreachable"]
        tries = [line for line in fleet.balancer.access_lines() if host in line]
        assert not any(re.search(r" up=\S+,", line) for line in tries[1:])


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda good: good[:2000], "it is cut off"),
        (lambda good: "", "it is empty"),
        (lambda good: good.replace(f'"{A}", ', "", 1), "240"),
        (lambda good: good.replace(A, "shop.example"), "neither an IPv4 address"),
        (lambda good: good.replace(A, "0.0.0.0"), "stands for this balancer"),
        (lambda good: good.replace("-- ", "-- my ", 1), "does not begin as"),
        (None, "No such file"),
    ],
)  # fmt: skip
async def test_a_file_that_cannot_be_used_changes_nothing(
    folder: Path, spoil: object, problem: str
) -> None:
    async with followed(folder) as (fleet, file):
        fleet.balancer.expect("cannot use the backends of")

        def complaints() -> list[str]:
            lines = fleet.balancer.error_lines()
            return [line for line in lines if "cannot use the backends of" in line]

        if callable(spoil):
            file.write(spoil(text(fleet, 2, A, B)))
        else:
            file.path.unlink()
        await eventually_async(lambda: len(complaints()) == 1)
        assert problem in complaints()[0]
        for address in ADDRESSES:
            [host] = hosts_of(ADDRESSES, address, 1)
            assert fleet.by(await fleet.ask(Request(host))).address == address
        file.write(text(fleet, 3, A, B))
        await until_taken(fleet, 3)
        [host] = hosts_of((A, B), B, 1)
        await until_everywhere(fleet, host, B)
        assert len(complaints()) == 1


async def test_a_file_without_an_end_hangs_nothing(folder: Path) -> None:
    async with followed(folder) as (fleet, file):
        fleet.balancer.expect("cannot use the backends of")
        endless = folder / "endless"
        endless.symlink_to("/dev/zero")
        endless.replace(file.path)
        problem = "it does not begin as"
        await eventually_async(lambda: any(problem in e for e in fleet.balancer.error_lines()))
        file.write(text(fleet, 2, A, B))
        await until_taken(fleet, 2)


@pytest.mark.parametrize("has_writer", [False, True])
async def test_a_fifo_in_the_place_of_the_file_hangs_nothing(
    folder: Path, has_writer: bool
) -> None:
    async with followed(folder) as (fleet, file):
        fleet.balancer.expect("cannot use the backends of")
        fifo = folder / "fifo"
        os.mkfifo(fifo, 0o644)
        # Both ends: that does not wait.
        writer = os.open(fifo, os.O_RDWR) if has_writer else None
        fifo.replace(file.path)
        try:
            problem = "Resource temporarily unavailable" if has_writer else "it is empty"
            await eventually_async(lambda: any(problem in e for e in fleet.balancer.error_lines()))
            for address in ADDRESSES:
                [host] = hosts_of(ADDRESSES, address, 1)
                assert fleet.by(await fleet.ask(Request(host))).address == address
        finally:
            # Whoever waits for the other end, waits no more.
            os.close(os.open(file.path, os.O_RDWR) if writer is None else writer)
        file.write(text(fleet, 2, A, B))
        await until_taken(fleet, 2)


async def test_nothing_in_the_file_is_run(folder: Path) -> None:
    async with followed(folder) as (fleet, file):
        os.chmod(folder, 0o777)
        hostile = f'os.execute("touch {folder}/harm")\n'
        file.write(text(fleet, 2, A, B) + hostile)
        await until_taken(fleet, 2)
        await reload(fleet)
        [host] = hosts_of((A, B), B, 1)
        await until_everywhere(fleet, host, B)
        assert not (folder / "harm").exists()


async def test_without_a_file_the_own_list_holds(folder: Path) -> None:
    async with running(folder, three()) as fleet:
        file = Written(folder)
        fleet.balancer.expect("there is no file")
        fleet.balancer.expect("cannot use the backends of")
        name_file(fleet.balancer.conf, file.path)
        await reload(fleet)
        for backend in fleet.backends:
            [host] = fleet.hosts(backend, 1)
            assert fleet.by(await fleet.ask(Request(host))) is backend
        file.write(text(fleet, 1, A, B))
        await until_taken(fleet, 1)


async def test_a_list_by_hand_is_taken_up_at_a_reload_alone(folder: Path) -> None:
    async with running(folder, three()) as fleet:
        [host] = fleet.hosts(fleet.backends[2], 1)
        listed = fleet.balancer.conf.parent / "lua" / "init_backends.lua"
        listed.write_text(listed.read_text().replace(f', "{C}"', ""))
        probes = len(fleet.backends[0].probes)
        await eventually_async(lambda: len(fleet.backends[0].probes) > probes + 4)
        assert fleet.by(await fleet.ask(Request(host))) is fleet.backends[2]


def test_nginx_does_not_start_with_a_broken_file(folder: Path) -> None:
    http, https = free_ports(2)
    nginx = NginxServer(render(folder, http, https, [A]), "127.0.0.1", http)
    file = Written(folder)
    name_file(nginx.conf, file.path)
    file.write('web_server_ips = { "192.0.2.1" }\n')
    result = subprocess.run(nginx.command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert f"cannot use the backends of {file.path}: it does not begin" in result.stderr


def test_route_reads_the_file_that_nginx_uses(folder: Path) -> None:
    conf = render(folder, 80, 443, [C])
    file = Written(folder)
    name_file(conf, file.path)
    listed = conf.parent / "lua" / "init_backends.lua"
    assert Placement(listed, Rule.STOCK).entries == (C,)
    file.write(written(SlotTable(1, stretched([A, B], SLOTS), {})))
    assert Placement(listed, Rule.STOCK).entries == (A, B)
    assert Placement(file.path, Rule.STOCK).entries == (A, B)
