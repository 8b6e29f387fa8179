"""A fleet whose inis and slots are in etcd: three members, each with a network of its own, agents
on the balancers, and backends whose folders are empty at first."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from emperor.model.registration import RegisteredIni, Sealed, encoded
from emperor.model.registry_keys import Keys
from emperor.registry.etcd import Etcd
from emperor.registry.port import RegistryRefused
from tests.backend import APPS
from tests.etcd_cluster import RIGHTS, USER, Address, EtcdCluster, Member, etcd_cluster
from tests.eventually import eventually
from tests.faults.clock import Clock
from tests.fleet.account import Account
from tests.fleet.backend import RUNS, Backend
from tests.fleet.balancer import LIST, Balancer, listing
from tests.fleet.client import GATE, Visit
from tests.fleet.detour import slow
from tests.fleet.fleet import BACKENDS, BALANCERS, DOMAINS, RESERVE, Fleet, Rack, serving
from tests.fleet.logs import Log
from tests.fleet.machine import Machine
from tests.fleet.network import Cable
from tests.fleet.traffic import Traffic
from tests.fleet.uptime import up_for_longer

T = TypeVar("T")

KEYS = Keys("/emperord")
# It exists on every machine, and is no account of the system for min-uid.
OWNER = "nobody"
MEMBERS = ("192.0.2.21", "192.0.2.22", "192.0.2.23")
_STATE = "/var/lib/emperord"
_WRITTEN = "/var/lib/emperord-balancer/backends.lua"
# What is said while etcd, or the way to it, is away.
AWAY = r"cannot (use|follow) the registry|cannot register .* with|lease has ended|down: "
# Leases go by the monotonic clock of etcd's leader, which begins with the boot of its machine: by
# how much those of the members are ahead.
_UPTIMES = (0, 86_400, 8_640_000)
_AS_BY_DEFAULT = ("--heartbeat-interval=100", "--election-timeout=1000")
# Where apps note that they run.
BEATS = "/var/log/beats"
_FILLER = "/emperord/filler"
# An address to which no machine listens.
_NOWHERE = "02:00:00:00:00:01"


@dataclass(frozen=True, slots=True)
class RegistryFleet(Fleet):
    """The domains are in the registry alone, until somebody asks for them."""

    balancers: "Sequence[FollowingBalancer]"
    backends: "Sequence[RegisteredBackend]"
    etcd: EtcdCluster
    cables: Sequence[Cable]

    def expect(self, pattern: str) -> None:
        """Each host may say that."""
        for host in self.hosts:
            for log in host.logs:
                log.expect(pattern)

    def check(self, visits: Sequence[Visit]) -> Account:
        """Fail if any request has failed."""
        account = self.account(visits)
        assert not account.failed("GET")
        assert not account.failed("POST")
        return account

    def placed(self, traffic: Traffic, *backends: Backend) -> float:
        """Wait until each worker of each balancer has a list with these backends; when that was.
        A worker looks once a second, in which 150 visits come."""
        self.until_placed(*backends)
        traffic.goes_on(400)
        return time.monotonic()

    def ask_etcd(self, body: Callable[[Etcd], Awaitable[T]]) -> T:
        """What comes of asking etcd, from a host on the switch."""

        async def ask() -> T:
            async with Etcd(self.etcd.access) as engine:
                return await body(engine)

        return self.client.network.within(lambda: asyncio.run(ask()))

    def put(self, domains: Sequence[str], serial: int = 1) -> None:
        """Write the inis of many domains, many at a time."""

        async def put(engine: Etcd) -> None:
            few = asyncio.Semaphore(32)

            async def put_one(domain: str) -> None:
                entry = RegisteredIni(domain, serial, OWNER, ini(domain))
                async with few:
                    await engine.put({KEYS.vassal(domain): encoded(Sealed(entry))}, {})

            await asyncio.gather(*map(put_one, domains))

        self.ask_etcd(put)

    def write(self, key: str, value: bytes) -> None:
        """Write any value."""

        async def write(engine: Etcd) -> None:
            await engine.put({key: value}, {})

        self.ask_etcd(write)

    def values(self, keys: Iterable[str]) -> dict[str, bytes]:
        """What keys have, those that exist."""

        async def read(engine: Etcd) -> dict[str, bytes]:
            return {key: found.value for key in keys if (found := await engine.get(key))}

        return self.ask_etcd(read)

    @contextmanager
    def without(self, *members: Member) -> Iterator[None]:
        """Members are dead until the block is left, after which all have caught up."""
        for member in members:
            member.kill()
        try:
            yield
        finally:
            for member in members:
                member.start()
            self.etcd.until_healthy()
            self.until_registered()

    @contextmanager
    def hanging(self, *members: Member) -> Iterator[None]:
        """Members do not run until the block is left, as in a machine that is suspended."""
        for member in members:
            member.pause()
        try:
            yield
        finally:
            for member in members:
                member.resume()
            self.etcd.until_healthy()
            self.until_registered()

    @contextmanager
    def slow(self, seconds: float) -> Iterator[None]:
        """What members send arrives so many seconds later, until the block is left."""
        with ExitStack() as stack:
            for cable in self.cables:
                stack.enter_context(slow(cable, seconds))
            yield

    @contextmanager
    def full(self) -> Iterator[None]:
        """etcd's space is used up until the block is left, and then made as its documentation
        says."""
        size = max(map(self.etcd.size, self.etcd.members))
        self.restart_etcd(f"--quota-backend-bytes={size + (256 << 10)}")
        with suppress(RegistryRefused):
            while True:
                self.write(_FILLER, bytes(64 << 10))
        try:
            yield
        finally:
            self.etcd.etcdctl("del", _FILLER)
            self.compact()
            self.etcd.etcdctl("defrag")
            self.etcd.etcdctl("alarm", "disarm")
            self.write(_FILLER, b"")
            self.restart_etcd()

    def compact(self) -> None:
        """Have etcd forget what was before now."""

        async def revision(engine: Etcd) -> int:
            return (await engine.page(KEYS.vassals(), 1, fresh=True)).revision

        self.etcd.etcdctl("compact", str(self.ask_etcd(revision)))

    def restart_etcd(self, *options: str) -> None:
        """All members at once; no connection outlives it."""
        for member in self.etcd.members:
            member.kill()
        for member in self.etcd.members:
            member.start(*options)
        self.etcd.until_healthy()

    @contextmanager
    def replaced(self, backend: Backend) -> Iterator[None]:
        """A backend is dead until the block is left; then another machine has its address."""
        backend.machine.power_off()
        try:
            yield
        finally:
            backend.machine.replace()
            backend.machine.power_on()
            backend.install(BALANCERS, ())
            self.backends[self.backends.index(backend)].register(self.etcd)
            backend.start()

    @contextmanager
    def unheard_by(self, *hosts: Backend | Balancer) -> Iterator[None]:
        """What these hosts send to etcd is lost until the block is left."""
        for host in hosts:
            for address in MEMBERS:
                host.machine.must(
                    "ip", "neigh", "replace", address, "lladdr", _NOWHERE, "dev", "eth0",
                    "nud", "permanent",
                )  # fmt: skip
        try:
            yield
        finally:
            for host in hosts:
                for address in MEMBERS:
                    host.machine.must("ip", "neigh", "del", address, "dev", "eth0")
            self.until_registered()

    def registered(self) -> set[str]:
        """The addresses of the backends that etcd knows."""

        async def read(engine: Etcd) -> set[str]:
            page = await engine.page(KEYS.backends(), fresh=True)
            return {KEYS.address(entry.key) for entry in page.entries}

        return self.ask_etcd(read)

    def until_registered(self, *missing: Backend) -> None:
        """Wait until etcd has all backends but these."""
        wanted = {each.address for each in self.backends if each not in missing}
        eventually(lambda: self.registered() == wanted, what=f"{wanted} are registered")

    def fleet_command(self, *arguments: str) -> str:
        """What an administrator does with `emperorctl fleet`."""
        access = "--registry=/etc/uwsgi/operator.ini"
        return self.spare.machine.must("emperorctl", "fleet", access, *arguments)

    def until_settled(self) -> None:
        """Wait until the backends that are listed are as before a test, and have registered
        themselves. One that lost its power waits until the lease of the daemon before has ended:
        the registry cannot know that it is the same machine."""
        Fleet.until_settled(self)
        for backend in self.listed:
            eventually(backend.is_registered, what=f"{backend} is registered")

    def until_placed(self, *backends: Backend) -> None:
        """Wait until every balancer's list has these backends."""
        wanted = {backend.address for backend in backends}

        def is_placed() -> bool:
            found = [
                {route.backend for route in balancer.routes(_MANY).values()}
                for balancer in self.balancers
            ]
            return found == [wanted] * len(self.balancers)

        eventually(is_placed, what=f"{wanted} have slots")


# Enough that each backend has some of them.
_MANY = [f"any-{number}.example" for number in range(200)]


def ini(domain: str) -> str:
    """An app that notes what it runs."""
    return (
        "[uwsgi]\n"
        f"socket = /var/sockets/{domain}/socket\n"
        f"file = {APPS / 'plain.py'}\n"
        "idle = 93600\n"
        f"env = RUNS={RUNS}\n"
    )


@contextmanager
def standing_with_a_registry(is_limited: bool = False) -> Iterator[RegistryFleet]:
    """Build a fleet, and take it down. Fails if anything on it does not stop in order. Backends and
    balancers have all rights in etcd, or, `is_limited`, those that docs/fleet.md gives them."""
    with ExitStack() as stack:
        rack = Rack(stack)
        links = [rack.connect(f"etcd-{address[-2:]}", address) for address in MEMBERS]
        prefixes = [
            ("nsenter", f"--net={network.path}", *stack.enter_context(up_for_longer(seconds)))
            for (network, _), seconds in zip(links, _UPTIMES, strict=True)
        ]
        addresses = [Address(address, 2379, 2380) for address in MEMBERS]
        etcd = stack.enter_context(etcd_cluster(addresses, prefixes, _AS_BY_DEFAULT))
        backends = [RegisteredBackend(*rack.boot(address), address) for address in BACKENDS]
        balancers = [FollowingBalancer(rack.boot(address)[0], address) for address in BALANCERS]
        fleet = RegistryFleet(
            balancers, backends, rack.client(), etcd, [cable for _, cable in links]
        )
        fleet.put((*DOMAINS, *RESERVE))
        for command in RIGHTS if is_limited else ():
            etcd.etcdctl(*command)
        for backend in backends:
            backend.install(BALANCERS, ())
            backend.register(etcd, "backend" if is_limited else USER)
        for balancer in balancers:
            balancer.install([backend.address for backend in fleet.listed])
            balancer.follow(etcd, "balancer" if is_limited else USER)
        fleet.fleet_command("slots", "init", _place_list(fleet))
        with serving(fleet):
            fleet.until_registered()
            for balancer in balancers:
                balancer.until_it_follows()
            yield fleet


def _place_list(fleet: RegistryFleet) -> str:
    path = "/run/init_backends.lua"
    text = listing([backend.address for backend in fleet.listed])
    (fleet.spare.machine.root / path.lstrip("/")).write_text(text)
    return path


@dataclass(frozen=True, slots=True)
class Beat:
    """A note that a process ran at that time of the monotonic clock (tests/apps/beats.py)."""

    pid: int
    at: float


class RegisteredBackend(Backend):
    """A backend that fetches its inis, and registers itself. The wall clock of its daemon can be
    set."""

    def register(self, etcd: EtcdCluster, user: str = USER) -> None:
        """Name the registry to it, where it is that user."""
        etc = self.machine.root / "etc/uwsgi"
        etcd.access_file(etc / "registry.ini", user)
        etcd.access_file(etc / "operator.ini")
        (etc / "emperord.ini").write_text(
            "[emperord]\nregistry-config = /etc/uwsgi/registry.ini\n"
            f"fleet-address = {self.address}\n"
        )
        self.machine.must("install", "-d", "-m", "700", _STATE)
        self.clock = Clock(self.machine.logs)
        self.command = [*self.clock.under, f"STATE_DIRECTORY={_STATE}", "emperord"]
        self.kept = {"emperord.lock"}
        # The apps' user writes and reads there.
        self.machine.must("touch", BEATS)
        for path in (RUNS, GATE, BEATS):
            self.machine.must("chmod", "666", path)

    def shown_elsewhere(self) -> dict[str, str]:
        """Which of its domains belong to which other backends, as its console tells."""
        unix = "--unix-socket", "/run/emperord/control.sock"
        page = self.machine.must("curl", "-sf", *unix, "http://localhost/console/fleet")
        assert f"slots name this machine, {self.address}." in page
        return dict(re.findall(r'<a href="[^"]*">([^<]*)</a></th><td>([^<]*)</td>', page))

    def beats(self, domain: str) -> list[Beat]:
        """What such an app has noted here."""
        lines = (self.machine.logs / Path(BEATS).name).read_text().splitlines()
        beats = [line.split() for line in lines]
        return [Beat(int(pid), float(at)) for name, pid, at in beats if name == domain]


class FollowingBalancer(Balancer):
    """A balancer with an agent. Their wall clock can be set."""

    def __init__(self, machine: Machine, address: str) -> None:
        super().__init__(machine, address)
        self.clock = Clock(machine.logs)
        self.command = [*self.clock.under, "nginx"]
        self.agent_log = Log(machine.logs / "agent.log", [" INFO "])

    def follow(self, etcd: EtcdCluster, user: str = USER) -> None:
        """Have it take the list from the registry, where it is that user."""
        self.machine.must("install", "-d", "/etc/uwsgi", str(Path(_WRITTEN).parent))
        etcd.access_file(self.machine.root / "etc/uwsgi/registry.ini", user)
        with (self.machine.root / LIST.lstrip("/")).open("a") as text:
            text.write(f'web_server_file = "{_WRITTEN}"\n')

    @property
    def logs(self) -> list[Log]:
        """What is judged in the end."""
        return [self.log, self.agent_log]

    def start(self) -> None:
        """nginx does not wait for the agent."""
        super().start()
        self.machine.start("/var/log/agent.log", *self.clock.under, "emperord-balancer")

    def until_it_follows(self) -> None:
        """Wait until its agent has written a list."""
        eventually(lambda: self.agent_log.lines("is written"), what=f"the agent of {self} follows")

    def stop(self) -> None:
        """Stop nginx and the agent."""
        super().stop()
        self.machine.must("pkill", "-f", "emperord-balancer")
