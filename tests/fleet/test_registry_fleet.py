"""A fleet whose inis and slots are in etcd, under load: what happens to etcd, or to the way there,
fails no visit."""

import time
from collections.abc import Iterator, Sequence

import pytest

from emperor.model.registration import RegisteredIni, RegisteredRemoval, Sealed, encoded
from tests.eventually import eventually
from tests.fleet.account import Account
from tests.fleet.backend import Backend
from tests.fleet.balancer import Balancer
from tests.fleet.client import Question, Visit
from tests.fleet.fleet import DOMAINS
from tests.fleet.registry_fleet import (
    AWAY,
    KEYS,
    OWNER,
    RegisteredBackend,
    RegistryFleet,
    ini,
    standing_with_a_registry,
)
from tests.fleet.traffic import Traffic


@pytest.fixture(scope="module")
def standing_fleet() -> Iterator[RegistryFleet]:
    """Built at the first test of the module."""
    with standing_with_a_registry() as fleet:
        yield fleet


def expect(fleet: RegistryFleet, pattern: str) -> None:
    """Each host may say that."""
    for host in fleet.hosts:
        for log in host.logs:
            log.expect(pattern)


def placed(fleet: RegistryFleet, traffic: Traffic, *backends: Backend) -> float:
    """Wait until each worker of each balancer has a list with these backends; when that was. A
    worker looks once a second, in which 150 visits come."""
    fleet.until_placed(*backends)
    traffic.goes_on(400)
    return time.monotonic()


def check(fleet: RegistryFleet, visits: Sequence[Visit]) -> Account:
    """None has failed."""
    account = fleet.account(visits)
    assert not account.failed("GET")
    assert not account.failed("POST")
    return account


def test_all_domains_are_served_from_the_registry(fleet: RegistryFleet) -> None:
    traffic = fleet.traffic(2)
    with traffic.flowing():
        traffic.goes_on(200)
    fleet.check_home(check(fleet, traffic.visits))


@pytest.mark.parametrize("loss", ["the leader", "two of three", "all"])
def test_members_of_etcd_die(fleet: RegistryFleet, loss: str) -> None:
    expect(fleet, AWAY)
    count = {"the leader": 1, "two of three": 2, "all": 3}[loss]
    leader = fleet.etcd.leader()
    members = [leader, *fleet.etcd.followers()][:count]
    traffic = fleet.traffic(2)
    with traffic.flowing():
        with fleet.without(*members):
            traffic.goes_on(600)
        traffic.goes_on(200)
    fleet.check_home(check(fleet, traffic.visits))


@pytest.mark.parametrize("who", ["a backend", "a balancer", "both"])
def test_hosts_are_cut_off_from_etcd(fleet: RegistryFleet, who: str) -> None:
    """For longer than a lease lasts."""
    expect(fleet, AWAY)
    backend, balancer = fleet.backends[0], fleet.balancers[0]
    hosts: list[Backend | Balancer]
    hosts = [backend] if who == "a backend" else [balancer]
    hosts = [backend, balancer] if who == "both" else hosts
    missing = [backend] if backend in hosts else []
    homes = [host for host, home in fleet.homes().items() if home is backend]
    traffic = fleet.traffic(2)
    with traffic.flowing():
        with fleet.unheard_by(*hosts):
            if missing:
                fleet.until_registered(*missing)
            traffic.goes_on(200)
            if missing:
                kept = fleet.client.ask([Question(host, backend.address) for host in homes])
        traffic.goes_on(200)
    fleet.check_home(check(fleet, traffic.visits))
    if missing:
        assert not any(visit.failed for visit in kept)


def test_the_clock_of_a_backend_jumps(fleet: RegistryFleet) -> None:
    """By an hour, and beyond the end of etcd's certificates: leases go by another clock."""
    expect(fleet, AWAY)
    backend = fleet.backends[0]
    assert isinstance(backend, RegisteredBackend)
    traffic = fleet.traffic(2)
    with traffic.flowing():
        for seconds in (3600, 1_000_000, -3600):
            with backend.clock.wrong_by(seconds):
                traffic.goes_on(200)
        fleet.until_registered()
        traffic.goes_on(100)
    fleet.check_home(check(fleet, traffic.visits))


def test_a_backend_dies_and_others_serve_what_they_never_had(fleet: RegistryFleet) -> None:
    expect(fleet, AWAY)
    fleet.check_a_death(fleet.traffic(2))


def test_a_backend_is_added_and_taken_out_again(fleet: RegistryFleet) -> None:
    traffic = fleet.traffic(2)
    with traffic.flowing():
        before = fleet.homes()
        fleet.fleet_command("add", "--yes", fleet.spare.address)
        added = placed(fleet, traffic, *fleet.backends)
        after = fleet.homes()
        traffic.goes_on(300)
        enough = time.monotonic()
        fleet.fleet_command("remove", "--yes", fleet.spare.address)
        removed = placed(fleet, traffic, *fleet.listed)
        traffic.goes_on(200)
    account = check(fleet, traffic.visits)
    moved = {host for host in DOMAINS if before[host] is not after[host]}
    assert {after[host] for host in moved} == {fleet.spare}
    assert account.sent(added, enough).places() == {host: {after[host]} for host in DOMAINS}
    places = account.sent(removed).places()
    assert not any(fleet.spare in served for served in places.values())


def test_a_backend_is_drained(fleet: RegistryFleet) -> None:
    victim, traffic = fleet.victim(), fleet.traffic(2)
    with traffic.flowing():
        with victim.draining():
            noticed = fleet.until(victim, "unwell")
            status = fleet.fleet_command("status")
            assert any("drain" in line for line in status.splitlines() if victim.address in line)
            traffic.goes_on(200)
            undrained = time.monotonic()
        fleet.until_back(victim)
        traffic.goes_on(200)
    account = check(fleet, traffic.visits)
    fleet.check_away(victim, account.sent(noticed, undrained))


def test_a_backend_is_replaced_by_another_one(fleet: RegistryFleet) -> None:
    """It is gone for good; the next one has its place before anybody has taken it out."""
    victim, traffic = fleet.victim(), fleet.traffic(2)
    expect(fleet, AWAY)
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
        back = placed(fleet, traffic, *fleet.listed)
        traffic.goes_on(200)
    account = fleet.account(traffic.visits)
    assert not account.failed("GET")
    assert all(visit.was_under_way(killed, gone) for visit in account.failed("POST"))
    fleet.check_home(account.sent(back))
    for balancer in fleet.balancers:
        # What was said of a backend that is taken out is not taken back.
        balancer.log.turn_over()


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
    fleet.check_home(check(fleet, traffic.visits))
    assert not [visit for visit in first if visit.failed]


def test_hostile_and_broken_values_change_nothing(fleet: RegistryFleet) -> None:
    expect(
        fleet, r" WARNING site-|cannot use the registry's table|cannot use what the registry has"
    )
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
    fleet.check_home(check(fleet, traffic.visits))


def test_the_registry_is_restored_from_an_old_backup(fleet: RegistryFleet) -> None:
    """It knows neither the newest domain nor that another one was removed, and has a lower serial
    of a third."""
    expect(fleet, rf"{AWAY}| WARNING (site-\d+|late|early)\.example: |the registry cannot tell")
    late, early = "late.example", "early.example"
    fleet.put([early])
    door = fleet.balancers[0].address
    assert not fleet.client.ask([Question(early, door)])[0].failed
    backup = fleet.etcd.save()
    fleet.put([late])
    fleet.put([DOMAINS[0]], serial=7)
    fleet.write(KEYS.vassal(early), encoded(Sealed(RegisteredRemoval(early, 2))))
    assert not fleet.client.ask([Question(late, door)])[0].failed
    eventually(lambda: fleet.client.ask([Question(early, door)])[0].status == 404)
    traffic = fleet.traffic(2)
    with traffic.flowing():
        fleet.etcd.restore(backup)
        fleet.until_registered()
        traffic.goes_on(300)
        asked = fleet.client.ask([Question(late, door), Question(early, door)])
        traffic.goes_on(100)
    fleet.check_home(check(fleet, traffic.visits))
    assert not asked[0].failed, "a key that is missing removes nothing"
    fleet.put(DOMAINS, serial=8)
