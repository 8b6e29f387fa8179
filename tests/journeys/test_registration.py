"""A daemon in the registry of a fleet, on a real etcd."""

import re
import signal
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from urllib.request import urlopen

import pytest

from emperor.model.member import Member, decoded
from emperor.model.registry_keys import Keys
from tests.backend import Backend
from tests.cli.program import finished
from tests.etcd_cluster import EtcdCluster, etcd_cluster
from tests.eventually import eventually

A = "192.0.2.11"
KEY = Keys("/emperord").backend(A)
Start = Callable[..., Backend]


@pytest.fixture(scope="module")
def cluster() -> Iterator[EtcdCluster]:
    with etcd_cluster() as running:
        yield running


@pytest.fixture
def backend(cluster: EtcdCluster, folder: Path, start: Start) -> Backend:
    access = cluster.access_file(folder / "registry.ini")
    return start(learns=True, registry_config=str(access), fleet_address=A, fleet_weight="1.5")


def registered(cluster: EtcdCluster) -> Member | None:
    """What etcd has of the backend."""
    value = cluster.etcdctl("get", "--print-value-only", KEY).strip()
    return decoded(A, value.encode()) if value else None


def ctl(backend: Backend, *arguments: str) -> None:
    assert finished(backend.run_dir, *arguments).returncode == 0


def test_a_daemon_is_registered_while_it_runs(cluster: EtcdCluster, backend: Backend) -> None:
    first = eventually(lambda: registered(cluster))
    assert first
    assert (first.weight, first.drains, first.capacity.awake) == (Fraction(3, 2), False, 0)
    assert first.capacity.cores > 0
    ctl(backend, "drain")
    eventually(lambda: (found := registered(cluster)) and found.drains)
    ctl(backend, "undrain")
    eventually(lambda: (found := registered(cluster)) and not found.drains)
    backend.process.send_signal(signal.SIGHUP)
    eventually(lambda: len(backend.lines("registered 192.0.2.11 with the fleet")) == 2)
    again = registered(cluster)
    assert again
    assert (again.since, again.machine) == (first.since, first.machine)
    backend.stop()
    assert registered(cluster) is None


def test_a_new_address_takes_the_place_of_the_one_before(
    cluster: EtcdCluster, folder: Path, start: Start
) -> None:
    """Its app that must not run twice runs on."""
    access, config = cluster.access_file(folder / "registry.ini"), folder / "emperord.ini"
    config.write_text(f"[emperord]\nfleet-address = {A}\n")
    backend = start(learns=True, registry_config=str(access), config=str(config))
    backend.drop(A, backend.ini(A, idle="0") + "[emperor]\nonce = true\n")
    backend.until(A, "running")
    eventually(lambda: registered(cluster))
    pid = backend.leader(A)
    config.write_text("[emperord]\nfleet-address = 192.0.2.12\n")
    backend.process.send_signal(signal.SIGHUP)
    eventually(lambda: backend.lines("registered 192.0.2.12 with the fleet"))
    eventually(lambda: backend.lines("192.0.2.11 is not the address of this backend any more"))
    assert registered(cluster) is None
    key = Keys("/emperord").once(A)
    held = ("get", "--print-value-only", key)
    eventually(lambda: "192.0.2.12" in cluster.etcdctl(*held))
    assert backend.leader(A) == pid
    assert not backend.lines("is not run here")
    backend.stop()
    assert cluster.etcdctl("get", "--prefix", "--keys-only", "/emperord/backends/").strip() == ""


def test_a_daemon_logs_in_once(cluster: EtcdCluster, backend: Backend) -> None:
    """For its registration, its inis, and an app that must not run twice."""
    backend.drop(A, backend.ini(A, idle="0") + "[emperor]\nonce = true\n")

    def logins_of_a_start() -> int:
        backend.stop()
        before, registrations = logins(cluster), len(backend.lines("registered"))
        backend.start()
        backend.until(A, "running")
        eventually(lambda: len(backend.lines("registered")) > registrations)
        assert backend.get("www.example.com").status == 404
        return logins(cluster) - before

    # A member that is slow has another one asked.
    eventually(lambda: logins_of_a_start() == 1)


def logins(cluster: EtcdCluster) -> int:
    """How often somebody has given a password to a member. Each gateway calls its own member."""
    call = re.compile(r'^grpc_server_handled_total\{.*"Authenticate".*\} (\d+)$', re.MULTILINE)
    tls = cluster.trusting()
    pages = [
        urlopen(f"{member.address.client}/metrics", context=tls).read().decode()
        for member in cluster.members
    ]
    return sum(int(count) for page in pages for count in call.findall(page))


def test_a_daemon_serves_on_without_its_registry(cluster: EtcdCluster, backend: Backend) -> None:
    backend.expect("cannot use the registry: ")
    eventually(lambda: registered(cluster))
    backend.add("www.example.com")
    for member in cluster.members:
        member.kill()
    ctl(backend, "drain")
    assert backend.get("www.example.com").status == 200
    eventually(lambda: backend.lines("cannot use the registry: "))
    for member in cluster.members:
        member.start()
    cluster.until_healthy()
    eventually(lambda: (found := registered(cluster)) and found.drains)
    ctl(backend, "undrain")
