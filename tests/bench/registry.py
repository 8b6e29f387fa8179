"""A registry of a million domains on three members of etcd: what it takes to fill, its size, and
how it answers a fleet."""

import asyncio
import base64
import json
import random
import subprocess
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psutil

from emperor.model.registration import BUCKETS, RegisteredIni, Sealed, bucket_of, encoded
from emperor.model.registry_access import RegistryAccess
from emperor.model.registry_keys import Keys
from emperor.registry.etcd import Etcd
from emperor.registry.membership import LEASE_SECONDS
from tests.bench.place import place
from tests.bench.report import Row, row
from tests.bench.rounds import Bench
from tests.etcd_cluster import PASSWORD, USER, EtcdCluster, etcd_cluster

_DOMAINS, _FEW_DOMAINS = 1_000_000, 20_000
_IN_A_TRANSACTION = 100
# As emperorctl registry import does.
_IMPORTS, _IMPORTS_AT_ONCE = 5_000, 32
# As a backend pulls.
_PULLS, _PULLS_AT_ONCE = 10_000, 16
_BACKENDS, _BUCKETS_OF_EACH = 1_000, 5
_TOLD = 200
_REST_SECONDS = 20.0
# More than there is time for.
_RENEWALS = 1_000
# This process answers for all of them.
_BEGIN_AT_ONCE = 16
_RANDOM_SEED = 15
# Those of etcd, which fit a machine that has much to do; and the cost of a password that
# docs/scale.md advises.
_OPTIONS = ("--heartbeat-interval=100", "--election-timeout=1000", "--bcrypt-cost=4")
_DEFAULT_COST = ("--heartbeat-interval=100", "--election-timeout=1000", "--bcrypt-cost=10")
_LOGINS = 30
_KEYS = Keys("/emperord")
_INI = """\
[uwsgi]
file = /srv/{domain}/application.py
virtualenv = /srv/{domain}/venv
processes = 2
env = DJANGO_SETTINGS_MODULE=shop.settings
"""
_SCRIPT = """\
local keys, n = {{}}, 0
for key in io.lines("{keys}") do
    keys[#keys + 1] = '{{"key":"' .. key .. '","serializable":true}}'
end
local headers = {{ ["Authorization"] = "{token}", ["Content-Type"] = "application/json" }}
function request()
    n = n % #keys + 1
    return wrk.format("POST", "/v3/kv/range", headers, keys[n])
end
"""


def registry(bench: Bench) -> Iterator[Row]:
    """Fill it, and ask it."""
    domains = _FEW_DOMAINS if bench.quick else _DOMAINS
    with place() as folder, etcd_cluster(options=_OPTIONS) as cluster:
        what = f"registry of {domains:,} domains"
        bench.tell(f"{what}: put")
        took = asyncio.run(_filled(cluster.access, domains))
        yield row(f"{what}: put, {_IN_A_TRANSACTION} at a time", "s", {"ours": [took]})
        yield from _sizes(what, cluster)
        rate = asyncio.run(_imported(cluster.access))
        yield row(f"{what}: put one by one, {_IMPORTS_AT_ONCE} at once", "/s", {"ours": [rate]})
        bench.tell(f"{what}: read")
        yield from _reads(bench, what, cluster, domains, folder)
        bench.tell(f"{what}: watch")
        yield from asyncio.run(_watches(what, cluster))
        bench.tell(f"{what}: {_BACKENDS:,} backends")
        yield from _many_backends(bench, what, cluster)
        cheap = _logins(cluster)
    bench.tell("logins")
    with etcd_cluster(options=_DEFAULT_COST) as cluster:
        costs = {"ours": cheap, "cost of 10, the default": _logins(cluster)}
        yield row("registry: CPU of a login, bcrypt cost of 4", "ms", costs)


def _logins(cluster: EtcdCluster) -> list[float]:
    """The CPU seconds of all members for a login, and for a read in its session."""
    processes = [_process(cluster, number) for number in range(3)]
    before = sum(map(_cpu, processes))
    for _ in range(_LOGINS):
        asyncio.run(_log_in(cluster.access))
    return [(sum(map(_cpu, processes)) - before) / _LOGINS]


async def _log_in(access: RegistryAccess) -> None:
    async with Etcd(access) as engine:
        await engine.get(_KEYS.slots())


def _domain(number: int) -> str:
    return f"www.customer-{number:07}.example.com"


def _value(number: int) -> bytes:
    domain = _domain(number)
    return encoded(Sealed(RegisteredIni(domain, 1, "www-data", _INI.format(domain=domain))))


async def _filled(access: RegistryAccess, domains: int) -> float:
    """Put all, each only where it is not yet. Returns the seconds."""
    begun = time.perf_counter()
    firsts = iter(range(0, domains, _IN_A_TRANSACTION))

    async with Etcd(access) as engine:

        async def put_some() -> None:
            for first in firsts:
                numbers = range(first, first + _IN_A_TRANSACTION)
                values = {_KEYS.vassal(_domain(n)): _value(n) for n in numbers}
                await engine.put(values, dict.fromkeys(values, 0))

        await _at_once(put_some, 8)
    return time.perf_counter() - begun


async def _imported(access: RegistryAccess) -> float:
    """Put some more, one by one. Returns how many in a second."""
    numbers = iter(range(_DOMAINS, _DOMAINS + _IMPORTS))
    begun = time.perf_counter()
    async with Etcd(access) as engine:

        async def put_some() -> None:
            for number in numbers:
                key = _KEYS.vassal(_domain(number))
                await engine.put({key: _value(number)}, {key: 0})

        await _at_once(put_some, _IMPORTS_AT_ONCE)
    return _IMPORTS / (time.perf_counter() - begun)


async def _at_once(work: Callable[[], Awaitable[None]], many: int) -> None:
    async with asyncio.TaskGroup() as tasks:
        for _ in range(many):
            tasks.create_task(_awaited(work))


async def _awaited(work: Callable[[], Awaitable[None]]) -> None:
    await work()


def _sizes(what: str, cluster: EtcdCluster) -> Iterator[Row]:
    memory = [float(_process(cluster, n).memory_info().rss) for n in range(3)]
    status = json.loads(cluster.etcdctl("endpoint", "status", "--write-out=json"))
    database = [float(each["Status"]["dbSize"]) for each in status]
    disk = [_disk(member.data) for member in cluster.members]
    yield row(f"{what}: memory of a member", "MB", {"ours": memory})
    yield row(f"{what}: database of a member", "MB", {"ours": database})
    yield row(f"{what}: on the disk of a member, with its log", "MB", {"ours": disk})


def _disk(folder: Path) -> float:
    return float(sum(512 * path.lstat().st_blocks for path in folder.rglob("*")))


def _process(cluster: EtcdCluster, number: int) -> psutil.Process:
    process = cluster.members[number].process
    assert process
    return psutil.Process(process.pid)


def _reads(
    bench: Bench, what: str, cluster: EtcdCluster, domains: int, folder: Path
) -> Iterator[Row]:
    chosen = random.Random(_RANDOM_SEED).sample(range(domains), _PULLS)
    keys = [_KEYS.vassal(_domain(number)) for number in chosen]
    seconds = asyncio.run(_read(cluster.access, keys[:1_000], 1))
    yield row(f"{what}: get of one", "ms", {"ours": seconds})
    begun = time.perf_counter()
    asyncio.run(_read(cluster.access, keys, _PULLS_AT_ONCE))
    took = time.perf_counter() - begun
    yield row(f"{what}: get of {_PULLS:,}, {_PULLS_AT_ONCE} at once", "s", {"ours": [took]})
    script = _script(cluster, keys, folder)
    rates, cpu = [], []
    for number in bench.rounds(f"{what}: reads", 5):
        member = cluster.members[number % 3]
        rate, spent = _wrk(member.address.client, script, _process(cluster, number % 3))
        rates.append(rate)
        cpu.append(spent)
    yield row(f"{what}: reads of one member", "/s", {"ours": rates})
    yield row(f"{what}: CPU of a read", "µs", {"ours": cpu})


async def _read(access: RegistryAccess, keys: Sequence[str], at_once: int) -> list[float]:
    """Get all of them. Returns the seconds of each."""
    left, seconds = iter(keys), []
    async with Etcd(access) as engine:

        async def get_some() -> None:
            for key in left:
                begun = time.perf_counter()
                assert await engine.get(key)
                seconds.append(time.perf_counter() - begun)

        await engine.get(keys[0])
        await _at_once(get_some, at_once)
    return seconds


def _script(cluster: EtcdCluster, keys: Sequence[str], folder: Path) -> Path:
    """A script of wrk that gets these keys. All members take a token for a while."""
    question = json.dumps({"name": USER, "password": PASSWORD}).encode()
    tls = cluster.trusting()
    url = f"{cluster.members[0].address.client}/v3/auth/authenticate"
    with urllib.request.urlopen(url, question, context=tls) as reply:
        token = json.load(reply)["token"]
    listed = folder / "keys"
    listed.write_text("".join(f"{base64.b64encode(key.encode()).decode()}\n" for key in keys))
    script = folder / "get.lua"
    script.write_text(_SCRIPT.format(keys=listed, token=token))
    return script


def _wrk(url: str, script: Path, process: psutil.Process) -> tuple[float, float]:
    """Reads a second, and the CPU seconds of the member for each."""
    before = _cpu(process)
    command = ["wrk", "-t1", "-c32", "-d3s", "-s", str(script), url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    spent = _cpu(process) - before
    if "Non-2xx" in output or "Socket errors" in output:
        raise ConnectionError(f"cannot read from {url}: {output}")
    words = output.split()
    requests = int(words[words.index("requests") - 1])
    return float(words[words.index("Requests/sec:") + 1]), spent / requests


def _cpu(process: psutil.Process) -> float:
    """The CPU seconds of all threads of a process."""
    times = process.cpu_times()
    return times.user + times.system


async def _watches(what: str, cluster: EtcdCluster) -> list[Row]:
    """All buckets in one watch, and how soon a change of one key is told."""
    spans = [_KEYS.bucket(number) for number in range(BUCKETS)]
    key = _KEYS.vassal(_domain(0))
    seconds = []
    async with Etcd(cluster.access) as engine, Etcd(cluster.access) as writer:
        found = await writer.get(key)
        assert found
        begun = time.perf_counter()
        async with aclosing(engine.watch(spans, found.revision)) as told:
            await anext(told)
            began = time.perf_counter() - begun
            for number in range(_TOLD):
                begun = time.perf_counter()
                await writer.put({key: _value(number)}, {})
                while not (await anext(told)).written:
                    pass
                seconds.append(time.perf_counter() - begun)
    return [
        row(f"{what}: a watch of {BUCKETS:,} buckets begins", "ms", {"ours": [began]}),
        row(f"{what}: put → told by that watch", "ms", {"ours": seconds}),
        row(f"{what}: put → told by that watch, at most", "ms", {"ours": [max(seconds)]}),
    ]


def _many_backends(bench: Bench, what: str, cluster: EtcdCluster) -> Iterator[Row]:
    """Measure etcd with as many watches and leases as a large fleet has, from one process."""
    processes = [_process(cluster, number) for number in range(3)]
    backends = _BACKENDS // 10 if bench.quick else _BACKENDS
    what = f"{what}, {backends:,} backends"
    before = sum(map(_cpu, processes))
    fleet = asyncio.run(_Fleet(cluster.access, backends).measured(processes))
    yield row(f"{what}: all watch at once, after", "s", {"ours": [fleet.began]})
    yield row(f"{what}: CPU of all members for that", "s", {"ours": [fleet.cpu - before]})
    yield row(f"{what}: memory of a member then", "MB", {"ours": fleet.memory})
    yield row(f"{what}: CPU of all members in a second at rest", "ms", {"ours": [fleet.rest]})
    yield row(f"{what}: put → told to one of them", "ms", {"ours": fleet.told})


@dataclass(frozen=True, slots=True)
class _Measured:
    began: float
    cpu: float
    memory: list[float]
    rest: float
    told: list[float]


class _Fleet:
    """Backends that watch their buckets, and renew their leases as they do."""

    def __init__(self, access: RegistryAccess, backends: int) -> None:
        self._access = access
        self._backends = backends
        self._begun = 0
        self._have_begun = asyncio.Event()
        self._beginning = asyncio.Semaphore(_BEGIN_AT_ONCE)
        self._told: dict[int, asyncio.Event] = {}

    async def measured(self, processes: Sequence[psutil.Process]) -> _Measured:
        """Measure it."""
        begun = time.perf_counter()
        tasks = [asyncio.create_task(self._backend(n)) for n in range(self._backends)]
        waiting = asyncio.create_task(self._have_begun.wait())
        await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
        began = time.perf_counter() - begun
        cpu = sum(map(_cpu, processes))
        memory = [float(each.memory_info().rss) for each in processes]
        await asyncio.sleep(_REST_SECONDS)
        rest = (sum(map(_cpu, processes)) - cpu) / _REST_SECONDS
        told = [await self._told_after(number) for number in range(0, self._backends, 20)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return _Measured(began, cpu, memory, rest, told)

    async def _backend(self, number: int) -> None:
        buckets = [(number * _BUCKETS_OF_EACH + n) % BUCKETS for n in range(_BUCKETS_OF_EACH)]
        spans = [_KEYS.bucket(bucket) for bucket in buckets]
        async with Etcd(self._access) as engine, AsyncExitStack() as stack:
            async with self._beginning:
                found = await engine.page(_KEYS.bucket(0), 1)
                lease = await engine.grant(LEASE_SECONDS)
                changes = engine.watch(spans, found.revision)
                await stack.enter_async_context(aclosing(changes))
                await anext(changes)
            renewing = asyncio.create_task(_renewed(engine, lease))
            stack.callback(renewing.cancel)
            self._begun += 1
            if self._begun == self._backends:
                self._have_begun.set()
            async for change in changes:
                if change.written and number in self._told:
                    self._told[number].set()

    async def _told_after(self, number: int) -> float:
        """The seconds from a put in its first bucket until this backend knows."""
        bucket = number * _BUCKETS_OF_EACH % BUCKETS
        name = next(n for n in map(_domain, count()) if bucket_of(n) == bucket)
        self._told[number] = asyncio.Event()
        async with Etcd(self._access) as writer:
            await writer.get(_KEYS.vassal(name))
            begun = time.perf_counter()
            await writer.put({_KEYS.vassal(name): _value(0)}, {})
            await self._told[number].wait()
            return time.perf_counter() - begun


async def _renewed(engine: Etcd, lease: int) -> None:
    await asyncio.sleep(random.uniform(0.0, LEASE_SECONDS / 3))
    for _ in range(_RENEWALS):
        await engine.renew(lease)
        await asyncio.sleep(LEASE_SECONDS / 3)
