"""What administrators do to a fleet under load, without a failed request."""

import time

from tests.fleet.balancer import listing
from tests.fleet.client import Question
from tests.fleet.fleet import DOMAINS, RESERVE, Fleet


def test_a_drained_backend_finishes_and_gets_nothing_new(fleet: Fleet, doors: int) -> None:
    victim, traffic = fleet.victim(), fleet.traffic(doors)
    door = fleet.balancers[0].address
    got, posted, *_ = fleet.reserve(victim)
    held = [
        fleet.client.send(Question(got, door, held=True)),
        fleet.client.send(Question(posted, door, "POST", held=True)),
    ]
    with traffic.flowing():
        with victim.draining():
            noticed = fleet.until(victim, "unwell")
            traffic.goes_on(200)
            assert not any(visit.done() for visit in held)
            finished = victim.let_go(held)
            undrained = time.monotonic()
        back = fleet.until_back(victim)
        traffic.goes_on(200)
    account = fleet.account([*traffic.visits, *finished])
    assert not account.failed("GET")
    assert not account.failed("POST")
    assert all(account.ran_on(visit) == [victim] for visit in finished)
    fleet.check_away(victim, account.sent(noticed, undrained))
    fleet.check_home(account.sent(back))


def test_a_drained_backend_can_restart_its_daemon(fleet: Fleet) -> None:
    victim, traffic = fleet.victim(), fleet.traffic(2)
    victim.nginx_log.expect('"GET /emperord-health ')
    with traffic.flowing():
        with victim.draining():
            noticed = fleet.until(victim, "unwell")
            victim.restart_emperord()
            traffic.goes_on(200)
            undrained = time.monotonic()
        back = fleet.until_back(victim)
        traffic.goes_on(200)
    account = fleet.account(traffic.visits)
    assert not account.failed("GET")
    assert not account.failed("POST")
    fleet.check_away(victim, account.sent(noticed, undrained))
    fleet.check_home(account.sent(back))


def test_an_added_backend_gets_the_domains_that_were_planned(fleet: Fleet) -> None:
    every = (*DOMAINS, *RESERVE)
    plan = fleet.spare.plan(
        listing([backend.address for backend in fleet.listed]),
        listing([backend.address for backend in fleet.backends]),
    )
    before = fleet.homes(every)
    traffic = fleet.traffic(2)
    with traffic.flowing():
        added = fleet.use(fleet.backends)
        traffic.goes_on(200)
        after = fleet.homes(every)
        enough = time.monotonic()
        back = fleet.use(fleet.listed)
        traffic.goes_on(200)
    account = fleet.account(traffic.visits)
    assert not account.failed("GET")
    assert not account.failed("POST")
    assert account.sent(added, enough).places() == {host: {after[host]} for host in DOMAINS}
    fleet.check_home(account.sent(back))
    moves = {host: (before[host], after[host]) for host in every if before[host] != after[host]}
    assert plan == {host: (old.address, new.address) for host, (old, new) in moves.items()}
    assert fleet.spare in after.values()
