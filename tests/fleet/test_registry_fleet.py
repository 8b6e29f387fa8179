"""A fleet whose inis and slots are in etcd, under load: backends that come, hang, die and go, and
whatever is written to etcd."""

import time
from functools import partial

import pytest

from emperor.model import member
from emperor.model.registration import RegisteredIni, RegisteredRemoval, Sealed, encoded
from tests.eventually import eventually
from tests.fleet.backend import Backend
from tests.fleet.client import Question
from tests.fleet.fleet import DOMAINS
from tests.fleet.registry_fleet import AWAY, BEATS, KEYS, OWNER, RegistryFleet, ini

pytestmark = pytest.mark.registry


def once(domain: str) -> str:
    """An app that never sleeps, and must not run twice."""
    talks = ini(domain).replace("plain.py", "beats.py").replace("idle = 93600\n", "")
    options = f"enable-threads = true\nenv = BEATS={BEATS}\nenv = DOMAIN={domain}\n"
    return f"{talks}{options}[emperor]\nonce = true\nalways = true\n"


def test_all_domains_are_served_from_the_registry(fleet: RegistryFleet) -> None:
    traffic = fleet.traffic(2)
    with traffic.flowing():
        traffic.goes_on(200)
    fleet.check_home(fleet.check(traffic.visits))


def test_a_backend_dies_and_others_serve_what_they_never_had(fleet: RegistryFleet) -> None:
    fleet.expect(AWAY)
    fleet.check_a_death(fleet.traffic(2))


def test_a_backend_is_added_and_taken_out_again(fleet: RegistryFleet) -> None:
    traffic = fleet.traffic(2)
    with traffic.flowing():
        before = fleet.homes()
        fleet.fleet_command("add", "--yes", fleet.spare.address)
        added = fleet.placed(traffic, *fleet.backends)
        after = fleet.homes()
        traffic.goes_on(300)
        elsewhere = {backend: backend.shown_elsewhere() for backend in fleet.backends}
        enough = time.monotonic()
        fleet.fleet_command("remove", "--yes", fleet.spare.address)
        removed = fleet.placed(traffic, *fleet.listed)
        traffic.goes_on(200)
    account = fleet.check(traffic.visits)
    moved = {host for host in DOMAINS if before[host] is not after[host]}
    assert {after[host] for host in moved} == {fleet.spare}
    for backend, shown in elsewhere.items():
        left = {host: fleet.spare.address for host in moved if before[host] is backend}
        assert left.items() <= shown.items(), f"the console of {backend}"
        # A substitute keeps what it has served for others.
        assert {host: after[host].address for host in shown} == shown
    assert account.sent(added, enough).places() == {host: {after[host]} for host in DOMAINS}
    places = account.sent(removed).places()
    assert not any(fleet.spare in served for served in places.values())


def _is_drained(fleet: RegistryFleet, victim: Backend) -> bool:
    """Whether `emperorctl fleet status` says so."""
    status = fleet.fleet_command("status").splitlines()
    return any("drain" in line for line in status if victim.address in line)


def test_a_backend_is_drained(fleet: RegistryFleet) -> None:
    victim, traffic = fleet.victim(), fleet.traffic(2)
    with traffic.flowing():
        with victim.draining():
            noticed = fleet.until(victim, "unwell")
            # The balancers ask the backend itself, and may know it before the registry does.
            eventually(lambda: _is_drained(fleet, victim), what="the registry is told")
            traffic.goes_on(200)
            undrained = time.monotonic()
        fleet.until_back(victim)
        traffic.goes_on(200)
    account = fleet.check(traffic.visits)
    fleet.check_away(victim, account.sent(noticed, undrained))


def test_a_backend_is_replaced_by_another_one(fleet: RegistryFleet) -> None:
    """It is gone for good; the next one has its place before anybody has taken it out."""
    victim, traffic = fleet.victim(), fleet.traffic(2)
    fleet.expect(AWAY)
    with traffic.flowing():
        killed = time.monotonic()
        with victim.dead():
            gone = time.monotonic()
            fleet.until(victim, "unreachable")
            fleet.fleet_command("add", "--yes", fleet.spare.address)
            fleet.fleet_command("remove", "--yes", victim.address)
            fleet.until_placed(*(each for each in fleet.backends if each is not victim))
            traffic.goes_on(300)
        fleet.until_registered()
        fleet.fleet_command("add", "--yes", victim.address)
        fleet.fleet_command("remove", "--yes", fleet.spare.address)
        back = fleet.placed(traffic, *fleet.listed)
        traffic.goes_on(200)
    account = fleet.account(traffic.visits)
    assert not account.failed("GET")
    assert all(visit.was_under_way(killed, gone) for visit in account.failed("POST"))
    fleet.check_home(account.sent(back))
    for balancer in fleet.balancers:
        # What was said of a backend that is taken out is not taken back.
        balancer.log.turn_over()


def test_a_backend_is_replaced_at_its_address(fleet: RegistryFleet) -> None:
    """The other machine has nothing but the address, and fetches what it is asked for."""
    fleet.expect(AWAY)
    address = fleet.backends[0].address
    key = KEYS.backend(address)

    def machines() -> set[str]:
        return {member.decoded(address, found).machine for found in fleet.values([key]).values()}

    before = machines()
    assert before
    fleet.check_a_death(fleet.traffic(2), fleet.replaced)
    eventually(lambda: machines() - before, what="the other machine is registered")


@pytest.mark.parametrize("what", ["its daemon", "all of it"])
def test_an_app_with_once_leaves_a_backend_that_hangs(fleet: RegistryFleet, what: str) -> None:
    """Its app goes on if the daemon alone hangs, until it is killed in time."""
    fleet.expect(f"{AWAY}|killed by SIGKILL")
    domain, (first, second, *_) = f"once-{len(what)}.example", fleet.backends
    fleet.victim()
    first.nginx_log.expect('"GET /emperord-health ')
    fleet.write(KEYS.vassal(domain), encoded(Sealed(RegisteredIni(domain, 1, OWNER, once(domain)))))
    traffic = fleet.traffic(2)
    with traffic.flowing():
        for backend, status in ((first, 200), (second, 503)):
            [answer] = fleet.client.ask([Question(domain, backend.address)])
            assert answer.status == status
        eventually(lambda: first.beats(domain), what="it runs on the first one")
        with first.stuck() if what == "its daemon" else first.frozen():
            noticed = fleet.until(first, "unwell" if what == "its daemon" else "unreachable")
            eventually(lambda: second.beats(domain), what="it runs on the other one")
            traffic.goes_on(200)
        back = fleet.until_back(first)
        traffic.goes_on(200)
    fleet.write(KEYS.vassal(domain), encoded(Sealed(RegisteredRemoval(domain, 2))))
    account = fleet.account(traffic.visits)
    assert not account.failed("GET")
    assert not account.sent(noticed).failed("POST")
    fleet.check_home(account.sent(back))
    [pid] = {beat.pid for beat in first.beats(domain)}
    alive = partial(first.machine.run, "kill", "-0", str(pid))
    eventually(lambda: alive().returncode != 0, what="the first one is killed")
    if what == "its daemon":
        assert first.beats(domain)[-1].at < second.beats(domain)[0].at


def test_ten_thousand_domains_are_put_at_once(fleet: RegistryFleet) -> None:
    many = [f"many-{number:05}.example" for number in range(10_000)]
    traffic = fleet.traffic(2)
    with traffic.flowing():
        fleet.put(many)
        put = time.monotonic()
        sample = [Question(domain, fleet.balancers[0].address) for domain in many[::500]]
        first = fleet.client.ask(sample)
        traffic.goes_on(100)
    print(f"put by {put:.1f}")
    fleet.check_home(fleet.check(traffic.visits))
    assert not [visit for visit in first if visit.failed]


def test_hostile_and_broken_values_change_nothing(fleet: RegistryFleet) -> None:
    fleet.expect(r" WARNING site-|cannot use the registry's table|cannot use what the registry has")
    bad = {
        KEYS.vassal(DOMAINS[0]): b"\xff\x00 no JSON",
        KEYS.vassal(DOMAINS[1]): b"x" * (1 << 20),
        KEYS.vassal(DOMAINS[2]): encoded(
            Sealed(RegisteredIni(DOMAINS[2], 99, "root", ini(DOMAINS[2])))
        ),
        KEYS.vassal(DOMAINS[3]): encoded(
            Sealed(RegisteredIni(DOMAINS[3], 99, OWNER, "[uwsgi]\nuid = root\nfile = /nonexistent"))
        ),
        f"{KEYS.bucket(1).start}../../../etc/passwd": encoded(
            Sealed(RegisteredIni("www.example.com", 1, OWNER, ini("www.example.com")))
        ),
        KEYS.backend("../etc"): b"{}",
        KEYS.slots(): b'{"serial": 1000, "slots": []}',
    }
    held, home = fleet.values(bad), fleet.homes()[DOMAINS[2]]
    traffic = fleet.traffic(2)
    with traffic.flowing():
        for key, value in bad.items():
            fleet.write(key, value)
        for balancer in fleet.balancers:
            log = balancer.logs[1]
            eventually(lambda: log.lines("cannot use the registry's table"))  # noqa: B023
        eventually(lambda: home.log.lines(f" WARNING .*{DOMAINS[2]}"))
        traffic.goes_on(300)
        for key, value in held.items():
            fleet.write(key, value)
        for key in bad.keys() - held.keys():
            fleet.etcd.etcdctl("del", key)
        traffic.goes_on(100)
    fleet.check_home(fleet.check(traffic.visits))
