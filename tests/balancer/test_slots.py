"""A list with many more entries than backends, and fleets with many backends."""

from pathlib import Path

import pytest

from emperor.cli.main import run
from emperor.cli.placement import Placement, Rule
from tests.balancer.backends import ADDRESSES, Backend, three
from tests.balancer.fleet import BROKE_OFF, REFUSED, Fleet, Listed, running
from tests.balancer.lua import Lua
from tests.balancer.vectors import stock_index
from tests.eventually import eventually_async
from tests.http_client import Request

SLOTS = Listed(slots=4096)


async def until_marked(fleet: Fleet, many: int) -> None:
    """So many backends have a mark for http."""

    def marked() -> int:
        return sum(" over http: " in line for line in fleet.balancer.error_lines())

    await eventually_async(lambda: marked() == many)


async def test_slots_of_a_backend_fail_and_return_together(folder: Path, luajit: Lua) -> None:
    async with running(folder, three(), listed=SLOTS) as fleet:
        fleet.balancer.expect(REFUSED)
        for backend in fleet.backends:
            for host in fleet.hosts(backend, 3):
                assert fleet.by(await fleet.ask(Request(host))) is backend
        dead = fleet.backends[0]
        hosts = fleet.hosts(dead, 10)
        orders = luajit("substitutes", hosts, ADDRESSES)
        await dead.stop()
        for host, order in zip(hosts, orders, strict=True):
            reply = await fleet.ask(Request(host, method="POST", body=b"x"))
            assert fleet.by(reply).address == ADDRESSES[int(order.split()[0]) - 1]
        assert sorted(await fleet.tries(9 + len(hosts)))[-2:] == [1, 2]
        await dead.start()
        marks = [f"{dead.address} unreachable", f"{dead.address} well"]
        await eventually_async(lambda: fleet.balancer.marks == marks)
        assert fleet.by(await fleet.ask(Request(hosts[0]))) is dead


async def test_a_backend_with_many_slots_is_probed_once(folder: Path) -> None:
    backends = three()
    async with running(folder, backends, listed=SLOTS) as fleet:
        await eventually_async(lambda: all(len(each.probes) > 3 for each in backends))
        counts = [len(each.probes) for each in backends]
        assert max(counts) - min(counts) <= 2, "a probe over http and one over https in each round"
        assert fleet.balancer.marks == []


async def test_a_fleet_that_is_down_costs_few_attempts(folder: Path) -> None:
    backends = [Backend(f"127.0.0.{number}") for number in range(11, 31)]
    async with running(folder, backends, listed=SLOTS) as fleet:
        fleet.balancer.expect(REFUSED)
        for backend in backends:
            await backend.stop()
        await until_marked(fleet, len(backends))
        for method in ("GET", "POST"):
            assert (await fleet.ask(Request("app.example", method=method))).status == 502
        assert await fleet.tries(2) == [3, 3]


async def test_the_last_backend_of_many_is_found_at_once(folder: Path) -> None:
    *gone, left = [Backend(f"127.0.0.{number}") for number in range(11, 31)]
    async with running(folder, [*gone, left], listed=SLOTS) as fleet:
        fleet.balancer.expect(REFUSED)
        for backend in gone:
            await backend.stop()
        await until_marked(fleet, len(gone))
        for host in ("a.example", "b.example", "c.example"):
            assert fleet.by(await fleet.ask(Request(host))) is left
        assert await fleet.tries(3) == [1, 1, 1]


async def test_an_app_that_breaks_off_runs_on_three_backends(folder: Path) -> None:
    backends = [Backend(f"127.0.0.{number}") for number in range(11, 17)]
    async with running(folder, backends) as fleet:
        fleet.balancer.expect(BROKE_OFF)
        fleet.balancer.expect("no live upstreams")
        for backend in backends:
            backend.answer = backend.close
        assert (await fleet.ask(Request("app.example"))).status == 502
        assert sum(len(backend.heard) for backend in backends) == 3
        assert fleet.balancer.marks == []


async def test_a_list_that_emperorctl_prints_is_taken_up(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(folder, three()) as fleet:
        backends = fleet.balancer.conf.parent / "lua" / "init_backends.lua"
        whole = backends.read_text()
        two = whole.replace(f', "{ADDRESSES[2]}"', "")
        assert two != whole
        backends.write_text(two)
        assert run(["rebalance", "--backends", str(backends), "--add", ADDRESSES[2]]) == 0
        backends.write_text(capsys.readouterr().out)
        placement = Placement(backends, Rule.STOCK)
        hosts = [f"shop{number}.example" for number in range(30)]
        owners = {host: placement.backend(host) for host in hosts}
        assert set(owners.values()) == set(ADDRESSES)
        for host, owner in owners.items():
            assert owner in (ADDRESSES[stock_index(host, 2)], ADDRESSES[2])
        before = fleet.balancer.workers()
        fleet.balancer.reload()
        await eventually_async(lambda: not before & fleet.balancer.workers())
        for host, owner in owners.items():
            assert fleet.by(await fleet.ask(Request(host))).address == owner


CUSTOMERS = [f"customer-{number:05}.apps.example.net" for number in range(8_000)]
A, B, C = ADDRESSES


@pytest.mark.parametrize("slots", [[A, B, B, B], [B, A, B, B], [A, B] + [A, B, B, B] * 100])
def test_the_slots_of_a_backend_are_its_weight_by_rendezvous(luajit: Lua, slots: list[str]) -> None:
    placed = luajit("rendezvous", CUSTOMERS, slots)
    share = slots.count(B) / len(slots)
    assert share - 0.02 < placed.count(B) / len(placed) < share + 0.02


def test_a_dead_backends_domains_spread_by_weight(luajit: Lua) -> None:
    orders = luajit("substitutes", CUSTOMERS, [A, B, C, C, C])
    first = [order.split()[0] for order in orders]
    assert 0.23 < first.count("2") / len(first) < 0.27
    assert 0.73 < first.count("3") / len(first) < 0.77


def test_slots_do_not_change_the_order_of_substitutes(luajit: Lua) -> None:
    many = [ADDRESSES[number % 3] for number in range(450)]
    hosts = CUSTOMERS[:500]
    assert luajit("substitutes", hosts, many) == luajit("substitutes", hosts, ADDRESSES)


def test_every_lua_finds_the_same_order_by_weight(luas: dict[str, Lua]) -> None:
    slots = [A, B, B, C, C, C, C]
    for what in ("substitutes", "rendezvous"):
        answers = [lua(what, CUSTOMERS[:2000], slots) for lua in luas.values()]
        assert answers[1:] == answers[:-1]
