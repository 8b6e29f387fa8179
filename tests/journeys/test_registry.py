"""Inis that come from the registry of a fleet: a real etcd cluster, the daemon, nginx, apps."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emperor.model.registration import RegisteredIni, encoded
from emperor.registry.signatures import new_key
from tests.backend import Backend
from tests.etcd_cluster import EtcdCluster, etcd_cluster
from tests.eventually import eventually
from tests.journeys.fleet_registry import OWNER, FleetRegistry

A, B = "a.example", "b.example"
UNREACHED = "cannot use the registry: "


@pytest.fixture(scope="module")
def lasting() -> Iterator[EtcdCluster]:
    """A cluster whose members all live."""
    with etcd_cluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(lasting: EtcdCluster) -> EtcdCluster:
    """It, without the keys of an earlier test."""
    lasting.etcdctl("del", "--prefix", "/emperord/")
    return lasting


@pytest.fixture
def mortal() -> Iterator[EtcdCluster]:
    """A cluster for one test."""
    with etcd_cluster() as cluster:
        yield cluster


@pytest.fixture
def join(folder: Path, start: Callable[..., Backend]) -> Callable[..., Backend]:
    """Starts a backend of the fleet."""

    def join(cluster: EtcdCluster, **flags: str) -> Backend:
        access = cluster.access_file(folder / "registry.ini")
        return start(learns=True, registry_config=str(access), **flags)

    return join


def test_all_on_the_disk_is_served_on_without_the_registry(
    mortal: EtcdCluster, join: Callable[..., Backend]
) -> None:
    registry, backend = FleetRegistry(mortal), join(mortal)
    backend.expect(UNREACHED)
    registry.ini(A, 1, backend.ini(A))
    assert backend.get(A).status == 200
    backend.add(B)
    for member in mortal.members:
        member.kill()
    assert backend.call("POST", f"/v1/vassals/{A}/sleep")[0] == 200
    backend.until(A, "parked")
    assert backend.get(A).status == 200, "it wakes"
    assert backend.get(B).status == 200
    assert backend.call("POST", f"/v1/vassals/{A}/reload")[0] == 200
    unknown = backend.get("unknown.example")
    assert unknown.status == 503
    assert int(unknown.headers["retry-after"]) > 0
    backend.crash()
    assert backend.get(A).status == 200
    assert backend.get("unknown.example").status == 503
    told = backend.call("GET", "/v1/status")[1]["emperor"]["registry"]
    assert told["unreached_since"] is not None
    assert told["pulled"] == 1
    assert len(backend.lines(UNREACHED)) == 2, "once for each daemon, and not for each hit"
    for member in mortal.members:
        member.start()
    mortal.until_healthy()
    registry.ini("unknown.example", 1, backend.ini("unknown.example"))
    eventually(lambda: backend.get("unknown.example").status == 200)


def test_a_registry_that_hangs_holds_nobody_up(
    mortal: EtcdCluster, join: Callable[..., Backend]
) -> None:
    registry, backend = FleetRegistry(mortal), join(mortal)
    backend.expect(UNREACHED)
    registry.ini(A, 1, backend.ini(A))
    registry.ini(B, 1, backend.ini(B))
    assert backend.get(A).status == 200
    for member in mortal.members:
        member.pause()
    assert backend.get(B).status == 503
    assert backend.call("POST", f"/v1/vassals/{A}/sleep")[0] == 200
    backend.until(A, "parked")
    assert backend.get(A).status == 200
    for member in mortal.members:
        member.resume()
    eventually(lambda: backend.get(B).status == 200)
    assert len(backend.lines(UNREACHED)) == 1


def test_a_first_hit_pulls_an_ini(cluster: EtcdCluster, join: Callable[..., Backend]) -> None:
    registry, backend = FleetRegistry(cluster), join(cluster)
    registry.ini(A, 7, backend.ini(A))
    assert backend.get(A).status == 200
    ini = backend.vassals / f"{A}.ini"
    assert ini.read_text() == backend.ini(A)
    assert (ini.owner(), ini.stat().st_mode & 0o777) == (OWNER, 0o400)
    detail = backend.detail(A)
    assert detail["status"]["registry_serial"] == 7
    assert backend.get("unknown.example").status == 404
    assert [path.name for path in backend.vassals.iterdir()] == [f"{A}.ini"]
    assert oct((backend.kept / "pulled").stat().st_mode & 0o777) == "0o600"
    assert os.stat(backend.kept / "pulled").st_uid == 0


@pytest.fixture
def registry(cluster: EtcdCluster) -> FleetRegistry:
    """The registry of that cluster."""
    return FleetRegistry(cluster)


@pytest.fixture
def backend(cluster: EtcdCluster, join: Callable[..., Backend]) -> Backend:
    """A backend of its fleet."""
    return join(cluster)


@pytest.fixture
def pulled(registry: FleetRegistry, backend: Backend) -> Backend:
    """The same, which has pulled an ini of serial 5."""
    registry.ini(A, 5, backend.ini(A, idle="5000"))
    assert backend.get(A).status == 200
    return backend


def serial(backend: Backend) -> int | None:
    """The serial that is in effect."""
    vassal = backend.vassal(A)
    return vassal["registry_serial"] if vassal else None


def idle(backend: Backend) -> int | None:
    """What tells one version of the ini from the next."""
    vassal = backend.vassal(A)
    return vassal["idle_seconds"] if vassal else None


def test_a_change_is_followed_and_an_older_one_is_not(
    registry: FleetRegistry, pulled: Backend
) -> None:
    registry.ini(A, 6, pulled.ini(A, idle="6000"))
    eventually(lambda: (serial(pulled), idle(pulled)) == (6, 6000))
    pulled.expect("the registry has a lower serial than 6")
    registry.ini(A, 4, pulled.ini(A, idle="4000"))
    eventually(lambda: pulled.detail(A)["not_followed"])
    assert (serial(pulled), idle(pulled)) == (6, 6000)
    registry.ini(A, 7, pulled.ini(A, idle="7000"))
    eventually(lambda: (serial(pulled), idle(pulled)) == (7, 7000))
    assert pulled.detail(A)["not_followed"] is None
    assert pulled.get(A).status == 200


@pytest.mark.parametrize(
    ("owner", "why"),
    [
        ("root", "an ini of the registry is never root's"),
        ("0", "there is no user of that name here"),
        ("nobody-at-all", "there is no user of that name here"),
        ("www-data", "nginx's group www-data"),
    ],
)
def test_an_owner_that_no_app_may_have_changes_nothing(
    registry: FleetRegistry, pulled: Backend, owner: str, why: str
) -> None:
    pulled.expect("cannot use what the registry has for")
    registry.ini(A, 6, pulled.ini(A, idle="6000"), owner)
    eventually(lambda: why in (pulled.detail(A)["not_followed"] or ""))
    registry.ini(B, 1, pulled.ini(B), owner)
    assert pulled.get(B).status == 503
    assert (serial(pulled), idle(pulled)) == (5, 5000)
    assert [path.name for path in pulled.vassals.iterdir()] == [f"{A}.ini"]
    told = pulled.call("GET", "/v1/status")[1]["emperor"]["registry"]
    assert {each["domain"] for each in told["examples"]} == {A, B}
    registry.ini(A, 7, pulled.ini(A, idle="7000"))
    eventually(lambda: idle(pulled) == 7000)


@pytest.mark.parametrize("value", [b"", b"\xff\xfe", b"[]", b'{"serial": 6}', b"{" * 99_999])
def test_a_broken_value_changes_nothing(
    registry: FleetRegistry, pulled: Backend, value: bytes
) -> None:
    pulled.expect("cannot use what the registry has for")
    registry.write({A: value, B: value})
    eventually(lambda: pulled.detail(A)["not_followed"])
    assert pulled.get(A).status == 200
    assert pulled.get(B).status == 503
    assert idle(pulled) == 5000


def test_an_ini_that_cannot_be_served_takes_no_site_down(
    registry: FleetRegistry, pulled: Backend
) -> None:
    pulled.expect("the previous version stays in service")
    registry.ini(A, 6, "[uwsgi]\nidle = soon\n")
    eventually(lambda: pulled.detail(A)["ini_error"])
    assert pulled.get(A).status == 200
    assert idle(pulled) == 5000
    registry.ini(A, 7, pulled.ini(A, idle="7000"))
    eventually(lambda: idle(pulled) == 7000)


def test_an_ini_that_cannot_be_served_is_refused_at_once(
    registry: FleetRegistry, backend: Backend
) -> None:
    backend.expect("cannot serve a.example.ini")
    registry.ini(A, 1, "[uwsgi]\nidle = soon\n")
    assert backend.get(A).status == 503
    registry.ini(A, 2, backend.ini(A))
    eventually(lambda: backend.get(A).status == 200)


def test_why_tells_what_of_the_registry_cannot_be_followed(
    registry: FleetRegistry, backend: Backend
) -> None:
    backend.expect("there is no user of that name here")
    registry.ini(A, 1, backend.ini(A), owner="nobody-of-this-name")
    assert backend.get(A).status == 503
    status, problem = backend.call("GET", f"/v1/vassals/{A}")
    assert (status, problem["code"]) == (404, "no-such-vassal")
    assert "there is no user of that name here" in problem["detail"]


def test_a_removal_removes_and_a_missing_key_does_not(
    registry: FleetRegistry, pulled: Backend
) -> None:
    pulled.expect("the registry has no entry for it")
    registry.lose(A)
    why = eventually(lambda: pulled.detail(A)["not_followed"])
    assert "remove it by `emperorctl registry rm --serial 6`" in why
    assert pulled.get(A).status == 200
    registry.remove(A, 6)
    eventually(lambda: pulled.get(A).status == 404)
    assert list(pulled.vassals.iterdir()) == []
    pulled.expect("the registry has a lower serial than 6")
    registry.ini(A, 5, pulled.ini(A))
    eventually(lambda: pulled.get(A).status == 503, what="an old entry is no more pulled")
    registry.ini(A, 7, pulled.ini(A))
    eventually(lambda: pulled.get(A).status == 200)


def test_what_an_administrator_has_placed_wins(registry: FleetRegistry, pulled: Backend) -> None:
    pulled.add(B, idle="1000")
    pulled.drop(A, pulled.ini(A, idle="1000"))
    eventually(lambda: idle(pulled) == 1000)
    registry.ini(A, 6, pulled.ini(A, idle="6000"))
    registry.ini(B, 6, pulled.ini(B, idle="6000"))
    registry.ini("c.example", 1, pulled.ini("c.example"))
    eventually(lambda: pulled.get("c.example").status == 200)
    registry.remove(A, 7)
    registry.remove("c.example", 2)
    eventually(lambda: pulled.vassal("c.example") is None)
    assert (serial(pulled), idle(pulled)) == (None, 1000)
    vassal = pulled.vassal(B)
    assert vassal and (vassal["registry_serial"], vassal["idle_seconds"]) == (None, 1000)


def test_an_ini_that_was_changed_here_stays_so(registry: FleetRegistry, pulled: Backend) -> None:
    pulled.expect("the file was changed on this machine|had been changed on this machine")
    (pulled.vassals / f"{A}.ini").write_text(pulled.ini(A, idle="1000"))
    eventually(lambda: idle(pulled) == 1000)
    assert "its file was changed on this machine" in pulled.detail(A)["not_followed"]
    registry.ini(A, 6, pulled.ini(A, idle="6000"))
    eventually(lambda: "newer ini" in (pulled.detail(A)["not_followed"] or ""))
    assert idle(pulled) == 1000
    registry.remove(A, 7)
    eventually(lambda: pulled.get(A).status == 404)
    (kept,) = pulled.vassals.iterdir()
    assert "idle = 1000" in kept.read_text()


def aliased(backend: Backend, *aliases: str) -> str:
    """An ini that lists aliases."""
    return f"[emperor]\naliases = {' '.join(aliases)}\n{backend.ini(A)}"


def test_an_alias_leads_to_the_ini_of_its_domain(registry: FleetRegistry, backend: Backend) -> None:
    registry.ini(A, 1, aliased(backend, "www.a.example"))
    registry.alias("www.a.example", 1, A)
    registry.alias("stale.example", 1, A)
    assert backend.get("www.a.example").status == 200
    assert backend.get("stale.example").status == 404
    assert [path.name for path in backend.vassals.iterdir()] == [f"{A}.ini"]
    registry.alias("new.example", 1, A)
    registry.ini(A, 2, aliased(backend, "www.a.example", "new.example"))
    eventually(lambda: backend.get("new.example").status == 200)
    backend.crash()
    assert backend.get("www.a.example").status == 200


def test_an_ini_has_no_alias_that_the_registry_gives_to_another(
    registry: FleetRegistry, backend: Backend
) -> None:
    backend.expect("aliases may stand in an ini of root's alone")
    registry.ini(A, 1, aliased(backend, B))
    registry.ini(B, 1, backend.ini(B))
    assert backend.get(A).status == 503
    assert backend.get(B).status == 200
    assert backend.detail(B)["ini"] == f"{backend.vassals}/{B}.ini"


def test_a_wildcard_of_the_registry_gives_way_to_a_nearer_entry(
    registry: FleetRegistry, backend: Backend
) -> None:
    registry.ini("_.example.com", 1, backend.ini("_.example.com"))
    registry.ini("own.example.com", 1, backend.ini("own.example.com"))
    assert backend.get("some.example.com").status == 200
    assert backend.vassal("_.example.com")
    assert backend.vassal("own.example.com") is None
    assert backend.get("own.example.com").status == 200
    assert backend.vassal("own.example.com")
    registry.ini("some.example.com", 1, backend.ini("some.example.com"))
    eventually(lambda: backend.vassal("some.example.com"), what="it takes over from the wildcard")


def followed_up_to(backend: Backend) -> int:
    """The revision from which the next daemon goes on."""
    journal = (backend.kept / "pulled").read_text()
    return max(map(int, re.findall(r'"upto","revision":(\d+)', journal)))


def test_a_restarted_daemon_catches_up(registry: FleetRegistry, pulled: Backend) -> None:
    pulled.process.kill()
    pulled.process.wait()
    registry.ini(A, 6, pulled.ini(A, idle="6000"))
    revision = registry.revision()
    pulled.start()
    eventually(lambda: (serial(pulled), idle(pulled)) == (6, 6000))
    eventually(lambda: followed_up_to(pulled) >= revision)
    pulled.process.kill()
    pulled.process.wait()
    registry.ini(A, 7, pulled.ini(A, idle="7000"))
    registry.ini(B, 1, pulled.ini(B))
    registry.cluster.etcdctl("compact", str(registry.revision()))
    pulled.start()
    eventually(lambda: (serial(pulled), idle(pulled)) == (7, 7000))
    assert pulled.lines("changes of the registry were missed")


def test_an_upgraded_daemon_goes_on(registry: FleetRegistry, pulled: Backend) -> None:
    pulled.process.send_signal(signal.SIGHUP)
    eventually(lambda: pulled.lines("took over 1 vassals"))
    eventually(lambda: serial(pulled) == 5)
    registry.ini(A, 6, pulled.ini(A, idle="6000"))
    eventually(lambda: (serial(pulled), idle(pulled)) == (6, 6000))


def test_a_signature_is_required_where_there_are_signers(
    cluster: EtcdCluster, registry: FleetRegistry, folder: Path, start: Callable[..., Backend]
) -> None:
    key = new_key("alice")
    signers = folder / "signers"
    signers.write_text(key.public_line + "\n")
    access = cluster.access_file(folder / "registry.ini")
    with access.open("a") as file:
        file.write(f"signers-file = {signers}\n")
    backend = start(learns=True, registry_config=str(access))
    backend.expect("nobody has signed it")
    registry.ini(B, 1, backend.ini(B))
    entry = RegisteredIni(A, 1, OWNER, backend.ini(A))
    registry.write({A: encoded(key.seal(entry))})
    assert backend.get(A).status == 200
    assert backend.get(B).status == 503


def test_without_a_registry_nothing_of_it_is_imported(start: Callable[..., Backend]) -> None:
    backend = start()
    maps = Path(f"/proc/{backend.process.pid}/maps")
    assert "cryptography" not in maps.read_text()
    parts = "emperor.registry", "emperor.model.registration", "emperor.pull."
    script = (
        "import sys, emperor.service; sys.modules.pop('emperor.pull.registry');"
        f"print([name for name in sys.modules if name.startswith({parts})])"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "[]"
