"""What a list of a thousand backends costs a balancer: memory, probes, and requests whose own
backend is down, since their substitutes are found among all backends."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import count, islice
from pathlib import Path
from statistics import median

from docs.examples.balancer import render
from emperor.model.slots import SLOTS, rebalanced, stretched
from tests.balancer.vectors import stock_index
from tests.bench.balancers import Balancer
from tests.bench.place import place, serving
from tests.bench.report import Row, row
from tests.bench.rounds import Bench
from tests.bench.slots import BACKENDS, Cost, cost_of
from tests.bench.wrk import wrk
from tests.eventually import eventually
from tests.nginx_server import free_ports

# A rack of forty is down.
_MANY, _DOWN = 1_000, 40
_FEW, _FEW_DOWN = 5, 1
# More than the hosts whose substitutes a balancer keeps.
_HOSTS = 4_000
_CONNECTIONS = 16
_ROUNDS = 5
_REST_SECONDS = 10.0
_PATIENCE_SECONDS = 120.0
_RIVAL = f"{_FEW} backends"
# Names another host in each request.
_SCRIPT = """\
local hosts, n = {{}}, 0
for host in io.lines("{hosts}") do
    hosts[#hosts + 1] = host
end
function request()
    n = n % #hosts + 1
    return wrk.format("GET", "/", {{ Host = hosts[n] }})
end
"""


@dataclass(frozen=True, slots=True)
class _Fleet:
    """A balancer before backends of which some are down, and hosts of those that are."""

    balancer: Balancer
    log: Path
    probes: Path
    down: int
    hosts: Sequence[str]
    well: str

    def probed(self) -> int:
        """How many probes the backends have answered."""
        return self.probes.read_bytes().count(b"\n")

    def marked_wrongly(self) -> int:
        """How often a backend was marked that was up: its probe came too late."""
        return self.log.read_text().count(" is unreachable ") - self.down


@dataclass(frozen=True, slots=True)
class _Rest:
    """What a balancer without requests does in a second."""

    cpu: float
    probes: float


def thousand(bench: Bench) -> Iterator[Row]:
    """Compare a balancer of a thousand backends with one of a few, in as many slots."""
    with ExitStack() as stack:
        fleets = {
            "ours": _fleet(stack, _MANY, _DOWN, "127.0.0.2"),
            _RIVAL: _fleet(stack, _FEW, _FEW_DOWN, "127.0.0.3"),
        }
        what = f"{_MANY:,} backends"
        sizes = {name: [_memory(fleet)] for name, fleet in fleets.items()}
        yield row(f"{what}: memory of a balancer's worker", "MB", sizes)
        rests = bench.paired(what, {n: partial(_rest, f) for n, f in fleets.items()}, 3)
        cpu = {name: [rest.cpu for rest in each] for name, each in rests.items()}
        yield row(f"{what}: CPU of the probes in a second", "ms", cpu)
        probes = {name: [rest.probes for rest in each] for name, each in rests.items()}
        yield row(f"{what}: probes answered in a second", "", probes)
        idle = {name: median(each) for name, each in cpu.items()}
        for title, loads in _loads(stack, fleets).items():
            for name, load in loads.items():
                if isinstance(load, Path):
                    _warm_up(fleets[name].balancer, load)
            sides = {name: partial(cost_of, fleets[name].balancer, loads[name]) for name in fleets}
            yield from _costs(f"{what}, {title}", bench.paired(title, sides, _ROUNDS), idle)
        wrong = {name: [float(fleet.marked_wrongly())] for name, fleet in fleets.items()}
        yield row(f"{what}: times that a well backend was marked", "", wrong)


def _warm_up(balancer: Balancer, load: Path) -> None:
    """Ask for each host, and for each once more."""
    asked = 0
    while asked < 2 * _HOSTS:
        asked += wrk(balancer.url, load, _CONNECTIONS).requests


def _costs(what: str, costs: dict[str, list[Cost]], idle: dict[str, float]) -> Iterator[Row]:
    """Rows of what was measured, without what the probes need meanwhile."""
    rates = {name: [cost.rate for cost in each] for name, each in costs.items()}
    cpu = {
        name: [cost.cpu - idle[name] / cost.rate for cost in each] for name, each in costs.items()
    }
    yield row(what, "/s", rates)
    yield row(f"{what}: CPU of a request", "µs", cpu)


def _fleet(stack: ExitStack, many: int, down: int, address: str) -> _Fleet:
    """A balancer at that address, that has found out which of its backends are down."""
    folder = stack.enter_context(place())
    http, https = free_ports(2)
    third = address.rpartition(".")[2]
    backends = [f"127.{third}.{n // 250}.{n % 250 + 1}" for n in range(many)]
    equal = dict.fromkeys(backends, Fraction(1))
    slots = rebalanced(stretched(backends, SLOTS), equal)
    up, gone = backends[down:], set(backends[:down])
    stack.enter_context(serving(_conf(folder, up, http, https)))
    (folder / "balancer").mkdir()
    conf = render(folder / "balancer", http, https, slots, [address])
    balancer = Balancer(conf, address, http, https)
    balancer.use_one_worker()
    stack.enter_context(balancer)
    log = conf.with_name("error.log")
    eventually(partial(_are_marked, log, down), seconds=_PATIENCE_SECONDS)
    hosts = (f"app{number}.example" for number in count())
    lost = (host for host in hosts if slots[stock_index(host, SLOTS)] in gone)
    well = (host for host in hosts if slots[stock_index(host, SLOTS)] not in gone)
    return _Fleet(
        balancer, log, folder / "probes.log", down, list(islice(lost, _HOSTS)), next(well)
    )


def _are_marked(log: Path, many: int) -> bool:
    return log.read_text().count(" is unreachable ") >= many


def _conf(folder: Path, addresses: Sequence[str], http: int, https: int) -> Path:
    conf = folder / "nginx.conf"
    listens = "".join(f"listen {each}:{http}; listen {each}:{https} ssl; " for each in addresses)
    conf.write_text(BACKENDS.format(place=folder, listens=listens))
    return conf


def _memory(fleet: _Fleet) -> float:
    [worker] = fleet.balancer.workers()
    return float(worker.memory_full_info().pss)


def _rest(fleet: _Fleet) -> _Rest:
    cpu, probed, begun = fleet.balancer.cpu_seconds(), fleet.probed(), time.perf_counter()
    time.sleep(_REST_SECONDS)
    took = time.perf_counter() - begun
    return _Rest((fleet.balancer.cpu_seconds() - cpu) / took, (fleet.probed() - probed) / took)


def _loads(stack: ExitStack, fleets: dict[str, _Fleet]) -> dict[str, dict[str, str | Path]]:
    """What is asked for, in each fleet."""
    folder = stack.enter_context(place())
    scripts: dict[str, str | Path] = {}
    for name, fleet in fleets.items():
        listed = folder / f"{name}.hosts"
        listed.write_text("".join(f"{host}\n" for host in fleet.hosts))
        script = folder / f"{name}.lua"
        script.write_text(_SCRIPT.format(hosts=listed))
        scripts[name] = script
    return {
        "owner well": {name: fleet.well for name, fleet in fleets.items()},
        "owner down": {name: fleet.hosts[0] for name, fleet in fleets.items()},
        f"{_HOSTS:,} hosts of owners that are down": scripts,
    }
