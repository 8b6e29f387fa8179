"""A fleet: balancers, backends and a host of visitors, each with its own network, on one switch."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial

from tests.eventually import eventually
from tests.fleet.account import Account
from tests.fleet.backend import Backend
from tests.fleet.balancer import Balancer
from tests.fleet.client import Client, Question, Visit
from tests.fleet.machine import Machine, empty_disk
from tests.fleet.network import Cable, Network, Switch
from tests.fleet.traffic import Traffic

# Of TEST-NET-1 (RFC 5737), which is nobody's. The backends but the last are those that
# lua/init_backends.lua names.
BALANCERS = ("192.0.2.1", "192.0.2.2")
BACKENDS = ("192.0.2.11", "192.0.2.12", "192.0.2.13", "192.0.2.14")
_CLIENT = "192.0.2.100"

# A prime, so that each domain is asked in every way (traffic.questions).
DOMAINS = tuple(f"site-{number:02}.example" for number in range(17))
# Served as well, but nobody asks for them unless a test does.
RESERVE = tuple(f"reserve-{number}.example" for number in range(8))

# A backend is dead as long as this is entered.
Death = Callable[[Backend], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Fleet:
    """All of it is up. All backends have the same apps; the last one is not on the balancers'
    list, which is of no account until it is put there."""

    balancers: Sequence[Balancer]
    backends: Sequence[Backend]
    client: Client

    @property
    def hosts(self) -> Sequence[Balancer | Backend]:
        """All but the visitors', in the order in which they start."""
        return [*self.backends, *self.balancers]

    @property
    def listed(self) -> Sequence[Backend]:
        """The backends that the balancers use."""
        return self.backends[:-1]

    @property
    def spare(self) -> Backend:
        """The backend that they do not."""
        return self.backends[-1]

    def traffic(self, doors: int) -> Traffic:
        """Visitors who come by so many of the balancers in turn."""
        addresses = [balancer.address for balancer in self.balancers]
        return Traffic(self.client, DOMAINS, addresses[:doors])

    def account(self, visits: Sequence[Visit]) -> Account:
        """The account of them. Fails where none may ever fail: a POST that ran twice, an answer
        that did not come from an app."""
        runs: dict[str, list[Backend]] = {}
        for backend in self.backends:
            for name in backend.runs():
                runs.setdefault(name, []).append(backend)
        account = Account(visits, runs)
        print(account)
        assert not account.twice("POST")
        assert not account.unheard()
        return account

    def victim(self) -> Backend:
        """A backend that the balancers will complain of."""
        victim = self.backends[0]
        for balancer in self.balancers:
            balancer.log.expect(rf"backend {victim.address} is |://{victim.address}:")
            # Of a probe, which names nobody.
            balancer.log.expect(r"recv\(\) failed .*, context: ngx.timer$")
        return victim

    def until(self, backend: Backend, state: str) -> float:
        """Wait until every balancer finds a backend well, unwell or unreachable; when that was."""
        for balancer in self.balancers:
            found = partial(balancer.finds, backend.address, state)
            eventually(found, what=f"{balancer} finds {backend} {state}")
        return time.monotonic()

    def until_settled(self) -> None:
        """Wait until the backends that are listed are as before a test."""
        for backend in self.listed:
            self.until(backend, "well")

    def until_back(self, backend: Backend) -> float:
        """Wait until every balancer finds a backend well for good; when that was. A connection
        that was begun before it came back may still time out, and have it marked once more."""
        now = time.monotonic()
        eventually(lambda: not self.client.waits(now), what="all who came before are answered")
        return self.until(backend, "well")

    def use(self, backends: Sequence[Backend]) -> float:
        """Give the balancers another list, one after the other; when all have taken it up."""
        for balancer in self.balancers:
            balancer.configure([backend.address for backend in backends])
            balancer.reload()
        return time.monotonic()

    def check_a_death(self, traffic: Traffic, dead: Death = Backend.dead) -> None:
        """Kill a backend while visitors come, and start it again. Fails unless every GET was
        answered, and every POST that had not reached that backend."""
        victim = self.victim()
        with traffic.flowing():
            killed = time.monotonic()
            with dead(victim):
                gone = time.monotonic()
                self.until(victim, "unreachable")
                traffic.goes_on(200)
            back = self.until_back(victim)
            traffic.goes_on(200)
        account = self.account(traffic.visits)
        assert not account.failed("GET")
        assert all(visit.was_under_way(killed, gone) for visit in account.failed("POST"))
        self.check_home(account.sent(back))

    def check_home(self, account: Account) -> None:
        """Fails unless each domain was served, by the backend it belongs to alone."""
        assert account.places() == {host: {home} for host, home in self.homes().items()}

    def check_away(self, backend: Backend, account: Account) -> None:
        """Fails unless each domain was served, none by that backend."""
        places = account.places()
        assert len(places) == len(DOMAINS)
        assert not any(backend in served for served in places.values())

    def answered(self, hosts: Sequence[str]) -> dict[str, set[Backend]]:
        """Ask for each host by every balancer, and find out which backends were asked."""
        for backend in self.backends:
            backend.access_log.turn_over()
        questions = [Question(host, door.address) for host in hosts for door in self.balancers]
        self.client.ask(questions)

        def noted() -> list[tuple[str, Backend]]:
            return [(line.split()[2], b) for b in self.backends for line in b.access_log.lines()]

        # nginx writes its log after it has answered.
        eventually(lambda: len(noted()) == len(questions), what="all are in the access logs")
        found: dict[str, set[Backend]] = {host: set() for host in hosts}
        for host, backend in noted():
            found[host].add(backend)
        return found

    def homes(self, hosts: Sequence[str] = DOMAINS) -> dict[str, Backend]:
        """Where each host belongs."""
        routes = self.balancers[0].routes(hosts)
        return {host: self.backend_at(route.backend) for host, route in routes.items()}

    def reserve(self, home: Backend) -> list[str]:
        """The hosts of the reserve that belong to a backend."""
        return [host for host, backend in self.homes(RESERVE).items() if backend is home]

    def sleeper(self, home: Backend) -> str:
        """A host that belongs to that backend, and sleeps on all of them."""
        host = self.reserve(home)[0]
        for backend in self.listed:
            backend.machine.must("emperorctl", "stop", host)
        return host

    def backend_at(self, address: str) -> Backend:
        """The backend that has that address."""
        return next(backend for backend in self.backends if backend.address == address)


@contextmanager
def standing() -> Iterator[Fleet]:
    """Build a fleet, and take it down. Fails if anything on it does not stop in order."""
    with ExitStack() as stack:
        rack = Rack(stack)
        backends = [Backend(*rack.boot(address), address) for address in BACKENDS]
        balancers = [Balancer(rack.boot(address)[0], address) for address in BALANCERS]
        fleet = Fleet(balancers, backends, rack.client())
        for backend in fleet.backends:
            backend.install(BALANCERS, (*DOMAINS, *RESERVE))
        for balancer in fleet.balancers:
            balancer.install([backend.address for backend in fleet.listed])
        with serving(fleet):
            yield fleet


@contextmanager
def serving(fleet: Fleet) -> Iterator[None]:
    """All services of a fleet run. Fails if one of them does not stop in order."""
    for host in fleet.hosts:
        host.start()
    yield
    for host in fleet.hosts:
        host.stop()
    for host in fleet.hosts:
        host.check_stopped()


class Rack:
    """Where machines are put up, to be taken down with the stack."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._switch = stack.enter_context(closing(Switch()))

    def connect(self, name: str, address: str) -> tuple[Network, Cable]:
        """A network at that address."""
        network = self._stack.enter_context(closing(Network()))
        return network, self._switch.connect(name, network, address)

    def boot(self, address: str) -> tuple[Machine, Cable]:
        """A machine at an address of BALANCERS or BACKENDS, which is on."""
        kind = "balancer" if address in BALANCERS else "backend"
        name = f"{kind}-{address.rpartition('.')[-1]}"
        network, cable = self.connect(name, address)
        disk = self._stack.enter_context(empty_disk())
        machine = self._stack.enter_context(Machine(name, network, disk))
        machine.power_on()
        return machine, cable

    def client(self) -> Client:
        """The visitors' host."""
        network, _ = self.connect("client", _CLIENT)
        return self._stack.enter_context(Client(network))
