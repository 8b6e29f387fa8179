"""What happens to etcd, to the way there and to clocks fails no visit to a fleet under load."""

import time
from functools import partial

import pytest

from emperor.model.registration import RegisteredRemoval, Sealed, encoded
from emperor.model.slot_table import decoded, with_slot
from emperor.model.slot_table import encoded as encoded_table
from emperor.registry.membership import LEASE_SECONDS
from tests.eventually import eventually
from tests.fleet.backend import Backend
from tests.fleet.balancer import Balancer
from tests.fleet.client import Question
from tests.fleet.fleet import DOMAINS
from tests.fleet.registry_fleet import AWAY, KEYS, OWNER, RegistryFleet, ini
from tests.fleet.traffic import Traffic
from tests.fleet.uptime import CAN_DIFFER

pytestmark = pytest.mark.registry


def outlast_a_lease(traffic: Traffic) -> None:
    """Visits come for longer than a lease lasts."""
    began = time.monotonic()
    while time.monotonic() - began < LEASE_SECONDS + 5:
        traffic.goes_on(100)


@pytest.mark.parametrize("loss", ["the leader", "a follower", "two of three", "all"])
def test_members_of_etcd_die(fleet: RegistryFleet, loss: str) -> None:
    fleet.expect(AWAY)
    leader, *followers = fleet.etcd.leader(), *fleet.etcd.followers()
    members = {
        "the leader": [leader],
        "a follower": followers[:1],
        "two of three": [leader, followers[0]],
        "all": [leader, *followers],
    }[loss]
    traffic = fleet.traffic(2)
    with traffic.flowing():
        with fleet.without(*members):
            traffic.goes_on(600)
        traffic.goes_on(200)
    fleet.check_home(fleet.check(traffic.visits))


@pytest.mark.parametrize("who", ["a backend", "a balancer", "both"])
def test_hosts_are_cut_off_from_etcd(fleet: RegistryFleet, who: str) -> None:
    """For longer than a lease lasts."""
    fleet.expect(AWAY)
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
    fleet.check_home(fleet.check(traffic.visits))
    if missing:
        assert not any(visit.failed for visit in kept)


@pytest.mark.parametrize("who", ["a backend", "a balancer"])
def test_the_wall_clock_of_a_host_jumps(fleet: RegistryFleet, who: str) -> None:
    """By an hour, and beyond the end of etcd's certificates: leases go by another clock."""
    fleet.expect(AWAY)
    host = fleet.backends[0] if who == "a backend" else fleet.balancers[0]
    traffic = fleet.traffic(2)
    with traffic.flowing():
        for seconds in (3600, 1_000_000, -3600):
            with host.clock.wrong_by(seconds):
                traffic.goes_on(200)
        fleet.until_registered()
        traffic.goes_on(100)
    fleet.check_home(fleet.check(traffic.visits))


@pytest.mark.parametrize("who", ["the leader", "all"])
def test_members_of_etcd_hang_for_longer_than_a_lease(fleet: RegistryFleet, who: str) -> None:
    """As machines do that are suspended."""
    fleet.expect(AWAY)
    members = fleet.etcd.members if who == "all" else [fleet.etcd.leader()]
    traffic = fleet.traffic(2)
    with traffic.flowing():
        with fleet.hanging(*members):
            outlast_a_lease(traffic)
        traffic.goes_on(200)
    fleet.check_home(fleet.check(traffic.visits))


@pytest.mark.skipif(not CAN_DIFFER, reason="this kernel has no time namespaces")
def test_a_lease_outlives_leaders_with_other_clocks(fleet: RegistryFleet) -> None:
    """And ends at last."""
    fleet.expect(AWAY)
    lost, traffic = fleet.backends[0], fleet.traffic(2)
    with traffic.flowing():
        for member in [*fleet.etcd.members, fleet.etcd.members[0]]:
            fleet.etcd.lead(member)
            traffic.goes_on(300)
        ended = [balancer.agent_log.lines("lease has ended") for balancer in fleet.balancers]
        with fleet.unheard_by(lost):
            fleet.until_registered(lost)
            traffic.goes_on(100)
    fleet.check_home(fleet.check(traffic.visits))
    assert not any(ended)


def test_etcd_is_slow(fleet: RegistryFleet) -> None:
    """A quarter of a second for whatever a member sends. Nobody complains."""
    new, drained, traffic = "slow.example", fleet.victim(), fleet.traffic(2)
    with traffic.flowing():
        with fleet.slow(0.25):
            fleet.put([new])
            asked = fleet.client.ask([Question(new, door.address) for door in fleet.balancers])
            with drained.draining():
                eventually(lambda: drains(fleet, drained), what="etcd knows that it drains")
            outlast_a_lease(traffic)
            assert fleet.registered() == {backend.address for backend in fleet.backends}
        fleet.until_back(drained)
        traffic.goes_on(200)
    fleet.check([*traffic.visits, *asked])


def drains(fleet: RegistryFleet, backend: Backend) -> bool:
    """Whether an administrator sees that it does."""
    status = fleet.fleet_command("status")
    return any("drain" in line for line in status.splitlines() if backend.address in line)


def test_etcd_is_full(fleet: RegistryFleet) -> None:
    """What it has can be read, and a backend that it cannot note serves."""
    fleet.expect(AWAY)
    restarted, traffic = fleet.victim(), fleet.traffic(2)
    restarted.nginx_log.expect('"GET /emperord-health ')
    new, door = "full.example", fleet.balancers[0].address
    fleet.put([new])
    draft = fleet.spare.machine.root / "run/draft.ini"
    draft.write_text(ini("draft.example"))
    put = ("emperorctl", "registry", "put", "draft.example", "/run/draft.ini", "--owner", OWNER)
    with traffic.flowing():
        with fleet.full():
            refused = fleet.spare.machine.run(*put)
            asked = fleet.client.ask([Question(new, door)])
            with restarted.draining():
                fleet.until(restarted, "unwell")
                restarted.restart_emperord()
                eventually(lambda: restarted.log.lines("cannot register .* full: compact it"))
            fleet.until_back(restarted)
            traffic.goes_on(200)
        fleet.until_registered()
        fleet.spare.machine.must(*put)
        asked += fleet.client.ask([Question("draft.example", door)])
        traffic.goes_on(100)
    fleet.check([*traffic.visits, *asked])
    assert refused.returncode == 1
    assert "full: compact it, run `etcdctl defrag` on each member" in refused.stdout


def test_changes_are_compacted_before_hosts_hear_of_them(fleet: RegistryFleet) -> None:
    """A domain is removed and a slot moved, and etcd has forgotten it when they ask."""
    fleet.expect(AWAY)
    backend, balancer = fleet.backends[0], fleet.balancers[0]
    gone = "gone.example"
    fleet.put([gone])
    ask = partial(fleet.client.ask, [Question(gone, backend.address)])
    assert ask()[0].status == 200
    before = fleet.values([KEYS.slots()])[KEYS.slots()]
    table = decoded(before)
    moved = with_slot(table, 1 + table.slots.index(backend.address), fleet.backends[1].address)
    traffic = fleet.traffic(2)
    with traffic.flowing():
        with fleet.unheard_by(backend, balancer):
            # Without their connections they hear nothing more.
            fleet.restart_etcd()
            fleet.write(KEYS.slots(), encoded_table(moved))
            for serial in range(2, 20):
                removal = RegisteredRemoval(gone, serial)
                fleet.write(KEYS.vassal(gone), encoded(Sealed(removal)))
            fleet.compact()
            assert ask()[0].status == 200
            traffic.goes_on(200)
        eventually(lambda: ask()[0].status == 404, what="the removal is heard of")
        for each in fleet.balancers:
            taken = partial(each.agent_log.lines, f"table {moved.serial} is written")
            eventually(taken, what=f"{each} has the table")
        traffic.goes_on(200)
    fleet.check(traffic.visits)
    # It reads all anew for that, or because nobody has answered for long.
    assert balancer.agent_log.lines("cannot tell all that has changed|the registry is reached;")


def test_the_registry_is_restored_from_an_old_backup(fleet: RegistryFleet) -> None:
    """It knows neither the newest domain nor that another one was removed, and has a lower serial
    of a third."""
    fleet.expect(rf"{AWAY}| WARNING (site-\d+|late|early)\.example: |the registry cannot tell")
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
    fleet.check_home(fleet.check(traffic.visits))
    assert not asked[0].failed, "a key that is missing removes nothing"
    fleet.put(DOMAINS, serial=8)
