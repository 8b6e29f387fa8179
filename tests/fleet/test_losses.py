"""A backend is lost and comes back while visitors come: which of them notice."""

import time
from collections import Counter

from tests.eventually import eventually
from tests.fleet.client import Question
from tests.fleet.fleet import Fleet

# No app has this name: any answer shows which backend was asked.
CUSTOMERS = tuple(f"customer-{number:04}.apps.example.net" for number in range(1, 901))


def test_a_killed_backend_fails_only_the_posts_that_it_had(fleet: Fleet, doors: int) -> None:
    fleet.check_a_death(fleet.traffic(doors))


def test_a_cable_that_is_unplugged_for_a_while_fails_nobody(fleet: Fleet) -> None:
    victim, traffic = fleet.victim(), fleet.traffic(1)
    with traffic.flowing():
        with victim.cut_off():
            noticed = fleet.until(victim, "unreachable")
            traffic.goes_on(200)
            plugged = time.monotonic()
        back = fleet.until_back(victim)
        traffic.goes_on(200)
    account = fleet.account(traffic.visits)
    assert not account.failed("GET")
    assert not account.failed("POST")
    fleet.check_away(victim, account.sent(noticed, plugged))
    fleet.check_home(account.sent(back))


def test_a_pulled_cable_fails_only_posts_before_it_is_noticed(
    fleet: Fleet,
) -> None:
    victim, traffic = fleet.victim(), fleet.traffic(2)
    with traffic.flowing():
        with victim.cut_off():
            noticed = fleet.until(victim, "unreachable")
            # Until the balancers' kernels have given up what was on its way.
            eventually(lambda: not fleet.client.waits(noticed), what="all is answered")
            plugged = time.monotonic()
        back = fleet.until_back(victim)
        traffic.goes_on(200)
    account = fleet.account(traffic.visits)
    assert not account.failed("GET")
    assert not account.sent(noticed).failed("POST")
    fleet.check_away(victim, account.sent(noticed, plugged))
    fleet.check_home(account.sent(back))


def test_a_hanging_backend_fails_nobody_and_repeats_nothing(fleet: Fleet, doors: int) -> None:
    victim, traffic = fleet.victim(), fleet.traffic(doors)
    with traffic.flowing():
        with victim.frozen():
            noticed = fleet.until(victim, "unreachable")
            traffic.goes_on(200)
            thawed = time.monotonic()
        back = fleet.until_back(victim)
        traffic.goes_on(200)
    account = fleet.account(traffic.visits)
    assert not account.failed("GET")
    assert not account.failed("POST")
    assert not account.twice("GET")
    fleet.check_away(victim, account.sent(noticed, thawed))
    fleet.check_home(account.sent(back))


def test_a_stuck_daemons_apps_are_woken_elsewhere(fleet: Fleet) -> None:
    victim, traffic = fleet.victim(), fleet.traffic(2)
    victim.nginx_log.expect('"GET /emperord-health ')
    sleeper = fleet.sleeper(victim)
    with traffic.flowing():
        with victim.stuck():
            noticed = fleet.until(victim, "unwell")
            woken = fleet.client.ask([Question(sleeper, fleet.balancers[0].address)])
            traffic.goes_on(200)
            freed = time.monotonic()
        back = fleet.until_back(victim)
        traffic.goes_on(200)
    account = fleet.account(traffic.visits)
    assert not account.failed("GET")
    assert not account.failed("POST")
    assert not any(visit.failed for visit in woken)
    fleet.check_away(victim, account.sent(noticed, freed))
    fleet.check_home(account.sent(back))


def test_a_killed_daemon_fails_nobody_once_balancers_know(fleet: Fleet) -> None:
    victim, traffic = fleet.victim(), fleet.traffic(2)
    victim.nginx_log.expect("unix:/run/emperord/activate.sock|unix:/var/sockets/")
    sleeper = fleet.sleeper(victim)
    with traffic.flowing():
        with victim.headless():
            noticed = fleet.until(victim, "unwell")
            woken = fleet.client.ask([Question(sleeper, fleet.balancers[0].address)])
            traffic.goes_on(200)
            restarted = time.monotonic()
        back = fleet.until_back(victim)
        traffic.goes_on(200)
    account = fleet.account(traffic.visits)
    assert not account.sent(noticed).failed("GET")
    assert not account.sent(noticed).failed("POST")
    assert not any(visit.failed for visit in woken)
    fleet.check_away(victim, account.sent(noticed, restarted))
    fleet.check_home(account.sent(back))


def test_a_dying_backends_get_is_repeated_and_its_post_is_not(
    fleet: Fleet,
) -> None:
    victim, door = fleet.victim(), fleet.balancers[0]
    got, posted, *_ = fleet.reserve(victim)
    before = len(victim.runs())
    post = fleet.client.send(Question(posted, door.address, "POST", held=True))
    get = fleet.client.send(Question(got, door.address, held=True))
    eventually(lambda: len(victim.runs()) == before + 2, what="both run")
    with victim.dead():
        visits = [post.result()]
        stand_in = fleet.backend_at(door.routes([got])[got].substitutes[0])
        visits += stand_in.let_go([get])
    account = fleet.account(visits)
    assert [visit.status for visit in visits] == [502, 200]
    assert account.places() == {posted: {victim}, got: {victim, stand_in}}


def test_a_dead_backends_domains_spread_and_come_home(fleet: Fleet) -> None:
    victim = fleet.victim()
    routes = fleet.balancers[0].routes(CUSTOMERS)
    orphans = [host for host in CUSTOMERS if routes[host].backend == victim.address]
    with victim.dead():
        fleet.until(victim, "unreachable")
        answered = fleet.answered(orphans)
    assert answered == {host: {fleet.backend_at(routes[host].substitutes[0])} for host in orphans}
    counted = Counter(backend for (backend,) in answered.values())
    shares = [count / len(orphans) for count in counted.values()]
    assert len(shares) == 2
    assert all(0.45 <= share <= 0.55 for share in shares)
    fleet.until(victim, "well")
    assert fleet.answered(orphans) == {host: {victim} for host in orphans}
