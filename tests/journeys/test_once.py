"""An app that must not run twice in a fleet: two daemons and a real etcd."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPResponse
from pathlib import Path

import pytest

from emperor.model.once import KILL_AFTER_SECONDS, LEASE_SECONDS
from emperor.model.registry_keys import Keys
from tests.backend import Daemon, UnixConnection
from tests.cli.program import finished
from tests.etcd_cluster import EtcdCluster, etcd_cluster
from tests.eventually import eventually
from tests.fdstore import FdStore
from tests.traces import public_folder

DOMAIN = "a.example"
ADDRESSES = ("192.0.2.1", "192.0.2.2")
# The kernel ends the lock with the last process of the app.
APP = """\
import fcntl
lock = open({lock!r}, "a")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    open({twice!r}, "a").write("twice")
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"ok"]
"""


def outlast(seconds: float) -> None:
    """Return when so much time has passed, as a lease needs to end for instance."""
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began > seconds)


@pytest.fixture(scope="module")
def cluster() -> Iterator[EtcdCluster]:
    with etcd_cluster() as running:
        yield running


class Two:
    """Two backends of one fleet. Each asks a member of its own, by which it can be cut off."""

    def __init__(self, cluster: EtcdCluster, folder: Path, daemons: list[Daemon]) -> None:
        self.cluster = cluster
        self.folder = folder
        self.daemons = daemons
        app = APP.format(lock=f"{folder}/lock", twice=f"{folder}/twice")
        (folder / "app.py").write_text(app)

    def drop(self, once: str = "once = true", idle: str = "0", **options: str) -> None:
        """Give both of them the ini; by default the app never sleeps."""
        for each in self.daemons:
            text = each.ini(DOMAIN, f"{self.folder}/app.py", idle=idle, **options)
            each.drop(DOMAIN, f"{text}[emperor]\n{once}\n")
        # Somebody who comes before it is read is told that there is no such site.
        for each in self.daemons:
            eventually(lambda: each.state(DOMAIN), what="the ini is read")  # noqa: B023

    def running(self) -> list[Daemon]:
        """Those on which the app runs."""
        return [each for each in self.daemons if each.state(DOMAIN) == "running"]

    def holder(self) -> tuple[Daemon, Daemon]:
        """The one on which it runs, and the other one, which knows it."""

        def found() -> bool:
            running = self.running()
            return len(running) == 1 and all(
                "it runs on 192.0.2." in (why_not(each) or "")
                for each in self.daemons
                if each not in running
            )

        try:
            eventually(found, what="it runs on one of them")
        except AssertionError as error:
            told = [(each.state(DOMAIN), why_not(each)) for each in self.daemons]
            raise AssertionError(f"{error}: {told}") from error
        first, second = sorted(self.daemons, key=lambda each: each not in self.running())
        return first, second

    def access_file(self, daemon: Daemon) -> Path:
        """By which it reaches the registry."""
        return self.folder / f"b{self.daemons.index(daemon) + 1}" / "registry.ini"

    def has_run_twice(self) -> bool:
        file = self.folder / "twice"
        return file.exists() and bool(file.read_text())


def why_not(daemon: Daemon) -> str | None:
    vassal = daemon.vassal(DOMAIN)
    found = vassal and vassal["runs_elsewhere"]
    return found or None


def changed_file(daemon: Daemon) -> str:
    """What its status says of the file by which it reaches the registry."""
    _, status = daemon.call("GET", "/v1/status")
    return status["emperor"]["registry"]["changed_file"] or ""


def hit(daemon: Daemon) -> HTTPResponse:
    """What nginx gets on its fallback."""
    connection = UnixConnection(daemon.run_dir / "activate.sock")
    try:
        connection.request("GET", "/", headers={"X-Domain": DOMAIN, "X-Try": "1"})
        return connection.getresponse()
    finally:
        connection.close()


@pytest.fixture
def two(cluster: EtcdCluster) -> Iterator[Two]:
    # It says for ten minutes that the app went to another machine, and other tests move it too.
    cluster.etcdctl("del", Keys("/emperord").migrated(DOMAIN))
    with two_of(cluster) as pair:
        yield pair
        assert not pair.has_run_twice()


@contextmanager
def two_of(cluster: EtcdCluster, addresses: tuple[str, str] = ADDRESSES) -> Iterator[Two]:
    """Descriptors of both outlive them, as under systemd."""
    with public_folder() as folder, ExitStack() as stack:
        daemons = []
        for number, member in enumerate(cluster.members[:2], 1):
            place = folder / f"b{number}"
            place.mkdir()
            access = cluster.access_file(place / "registry.ini")
            others = " ".join(cluster.access.endpoints)
            access.write_text(access.read_text().replace(others, member.address.client))
            address = addresses[number - 1]
            daemon = Daemon(place, registry_config=str(access), fleet_address=address)
            daemon.expect("registry|killed by SIGKILL|reaped by another process")
            daemon.launch = stack.enter_context(FdStore(place / "notify")).start
            daemons.append(stack.enter_context(daemon))
        yield Two(cluster, folder, daemons)


def test_it_runs_on_one_machine_and_moves_when_that_stops(two: Two) -> None:
    two.drop()
    first, second = two.holder()
    reply = hit(second)
    assert (reply.status, reply.getheader("Retry-After")) == (503, "5")
    status, body = second.call("POST", f"/v1/vassals/{DOMAIN}/start")
    assert status == 502, body
    assert "it runs on 192.0.2." in body["detail"]
    first.remove(DOMAIN)
    began = time.monotonic()
    second.until(DOMAIN, "running")
    assert time.monotonic() - began < LEASE_SECONDS
    assert why_not(second) is None


def test_two_containers_of_one_image_run_it_once(cluster: EtcdCluster) -> None:
    """They have one machine-id, one boot of the kernel, and perhaps one name."""
    with two_of(cluster, ("192.0.2.3", "192.0.2.3")) as two:
        two.drop()

        def is_told() -> bool:
            [*told] = filter(None, map(why_not, two.daemons))
            return len(two.running()) == 1 and "another machine that is 192.0.2.3 too" in told[0]

        eventually(lambda: any(map(why_not, two.daemons)), what="one is turned away")
        eventually(is_told, what="it is told why")
        # The other one's key stays as it is when one stops.
        [first] = two.running()
        [second] = [each for each in two.daemons if each is not first]
        pid = first.leader(DOMAIN)
        second.stop()
        outlast(KILL_AFTER_SECONDS)
        assert first.leader(DOMAIN) == pid
        assert not two.has_run_twice()


def test_it_sleeps_and_wakes_where_visitors_are(two: Two) -> None:
    two.drop(idle="93600")
    first, second = two.daemons
    for daemon, other in ((first, second), (second, first)):
        assert hit(daemon).status == 200
        assert daemon.state(DOMAIN) == "running"
        assert hit(other).status == 503
        assert daemon.call("POST", f"/v1/vassals/{DOMAIN}/sleep")[0] == 200
        eventually(lambda: why_not(other) is None, what="the key is free")  # noqa: B023


@pytest.mark.parametrize("idle", ["0", "93600"])
def test_it_goes_where_its_visitors_are(two: Two, idle: str) -> None:
    """As a substitute has it when its own backend is back, and balancers send visitors there."""
    two.drop(idle=idle)
    assert hit(two.daemons[0]).status in (200, 503)
    first, second = sorted(two.daemons, key=lambda each: each not in two.running())
    # Nobody comes to the first one any more.
    eventually(lambda: hit(second).status == 200, what="it runs on the other one", seconds=90)
    assert second.state(DOMAIN) == "running"
    assert hit(first).status == 503
    eventually(lambda: "it runs on 192.0.2." in (why_not(first) or ""))


def test_it_returns_also_when_its_backend_was_restarted_again(two: Two) -> None:
    two.drop()
    substitute, own = two.holder()
    for _ in range(2):
        eventually(lambda: hit(own).status == 200, what="it returns", seconds=60)
        substitute.until(DOMAIN, "parked")
        own.stop()
        substitute.until(DOMAIN, "running")
        own.start()


def test_one_stray_visitor_moves_nothing(two: Two) -> None:
    two.drop()
    first, second = two.holder()
    pid = first.leader(DOMAIN)
    assert hit(second).status == 503
    key = Keys("/emperord").migration_request(DOMAIN)
    eventually(lambda: two.cluster.etcdctl("get", "--print-value-only", key).strip())
    outlast(6)
    # It stays also where the next one comes after one has come here.
    assert hit(first).status == 200
    assert hit(second).status == 503
    outlast(3)
    assert first.leader(DOMAIN) == pid
    # Now two have come there, and none here.
    eventually(lambda: hit(second).status == 200, what="it runs on the other one")


def test_a_daemon_that_hangs_loses_it_in_time(two: Two) -> None:
    two.drop()
    first, second = two.holder()
    first.process.send_signal(signal.SIGSTOP)
    try:
        second.until(DOMAIN, "running")
    finally:
        first.process.send_signal(signal.SIGCONT)
    # A loaded machine may keep the second one from its lease, too, and then the first one has it.
    assert two.holder()
    assert not two.has_run_twice()


def test_a_machine_that_is_cut_off_stops_it_in_time(two: Two) -> None:
    two.drop()
    first, second = two.holder()
    member = two.cluster.members[two.daemons.index(first)]
    member.pause()
    try:
        eventually(lambda: first.state(DOMAIN) == "parked", what="it is stopped")
        assert "its lease could not be renewed" in (why_not(first) or "")
        assert hit(first).status == 503
        second.until(DOMAIN, "running")
    finally:
        member.resume()
    assert two.holder()[0] is second


def test_one_with_jobs_goes_on_without_the_registry(two: Two) -> None:
    two.drop(once="", cron="-1 -1 -1 -1 -1 true")
    first, _ = two.holder()
    pid = first.leader(DOMAIN)
    for member in two.cluster.members:
        member.pause()
    began = time.monotonic()
    try:
        eventually(lambda: time.monotonic() - began > KILL_AFTER_SECONDS + 1)
        assert first.leader(DOMAIN) == pid
    finally:
        for member in two.cluster.members:
            member.resume()
    two.cluster.until_healthy()


def test_a_restart_of_etcd_stops_nothing(two: Two) -> None:
    two.drop()
    first, _ = two.holder()
    pid = first.leader(DOMAIN)
    for member in two.cluster.members:
        member.kill()
    for member in two.cluster.members:
        member.start()
    two.cluster.until_healthy()
    outlast(LEASE_SECONDS)
    assert first.leader(DOMAIN) == pid
    assert two.holder()[0] is first


def test_the_next_daemon_of_an_upgrade_goes_on_with_it(two: Two) -> None:
    two.drop()
    first, _ = two.holder()
    pid = first.leader(DOMAIN)
    first.process.send_signal(signal.SIGHUP)
    eventually(lambda: first.lines("took over 1 vassals"))
    outlast(LEASE_SECONDS)
    assert first.leader(DOMAIN) == pid
    assert two.holder()[0] is first


def test_a_reload_takes_up_another_registry_ini(two: Two) -> None:
    two.drop()
    first, _ = two.holder()
    pid = first.leader(DOMAIN)
    file = two.access_file(first)
    before, third = two.cluster.members[two.daemons.index(first)], two.cluster.members[2]
    file.write_text(file.read_text().replace(before.address.client, third.address.client))
    assert "`systemctl reload emperord` takes it up" in changed_file(first)
    first.process.send_signal(signal.SIGHUP)
    eventually(lambda: first.lines("took over 1 vassals"))
    before.pause()
    began = time.monotonic()
    try:
        eventually(lambda: time.monotonic() - began > LEASE_SECONDS)
        assert first.leader(DOMAIN) == pid
    finally:
        before.resume()
    assert not changed_file(first)
    assert two.holder()[0] is first


@pytest.mark.parametrize(
    ("change", "why"),
    [("\nwrong\n", "registry.ini"), ("\nprefix = /other\n", "cannot use the prefix /other of ")],
    ids=["broken", "prefix"],
)
def test_a_reload_that_cannot_take_it_up_is_refused(two: Two, change: str, why: str) -> None:
    two.drop()
    first, _ = two.holder()
    pid, daemon = first.leader(DOMAIN), first.process.pid
    first.expect("cannot upgrade: ")
    file = two.access_file(first)
    text = file.read_text()
    file.write_text(text + change)
    first.process.send_signal(signal.SIGHUP)
    [line] = eventually(lambda: first.lines("cannot upgrade: ")) or []
    assert why in line
    assert why in changed_file(first)
    assert "what was read before is still in use" in changed_file(first)
    file.write_text(text)
    assert not changed_file(first)
    assert (first.leader(DOMAIN), first.process.pid) == (pid, daemon)
    assert two.holder()[0] is first


def test_the_next_daemon_after_a_crash_goes_on_with_it(two: Two) -> None:
    two.drop()
    first, _ = two.holder()
    pid = first.leader(DOMAIN)
    first.crash()
    outlast(LEASE_SECONDS)
    assert first.leader(DOMAIN) == pid
    assert two.holder()[0] is first


def test_without_its_daemon_it_ends_in_time(two: Two) -> None:
    two.drop()
    first, second = two.holder()
    first.process.kill()
    first.process.wait()
    second.until(DOMAIN, "running")
    assert not two.has_run_twice()
    first.start()
    assert two.holder()[0] is second


def test_an_ini_of_the_registry_runs_once(two: Two, tmp_path: Path) -> None:
    ini = tmp_path / "draft.ini"
    ini.write_text(f"[uwsgi]\nfile = {two.folder}/app.py\n[emperor]\nonce = true\n")
    access = two.cluster.access_file(tmp_path / "registry.ini")
    words = ("registry", "--registry", str(access), "put", DOMAIN, str(ini))
    put = finished(tmp_path, *words, "--owner", "games", "--force")
    assert put.returncode == 0, put.stderr
    first, second = two.daemons
    for name in ("lock", "twice"):
        (two.folder / name).touch()
        (two.folder / name).chmod(0o666)
    assert hit(first).status == 200
    assert hit(second).status == 503
    assert "it runs on 192.0.2.1" in (why_not(second) or "")
    removed = finished(tmp_path, "registry", "--registry", str(access), "rm", DOMAIN)
    assert removed.returncode == 0, removed.stderr
    for each in two.daemons:
        each.until(DOMAIN, None)


def test_a_broken_file_stops_no_daemon() -> None:
    with public_folder() as folder:
        (folder / "registry.ini").write_text("[registry]\n")
        with Daemon(folder, registry_config=f"{folder}/registry.ini") as daemon:
            daemon.expect("registry|may run here")
            daemon.drop(DOMAIN, daemon.ini(DOMAIN) + "[emperor]\nonce = true\n")
            daemon.until(DOMAIN, "parked")
            assert hit(daemon).status == 503
            assert "the registry cannot be reached" in (why_not(daemon) or "")


def test_a_machine_without_a_registry_runs_it_as_any_app() -> None:
    with public_folder() as folder, Daemon(folder) as daemon:
        daemon.drop(DOMAIN, daemon.ini(DOMAIN, idle="0") + "[emperor]\nonce = true\n")
        daemon.until(DOMAIN, "running")
