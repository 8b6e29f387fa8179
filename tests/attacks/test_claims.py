"""What a tenant's ini names does not keep another one from being served."""

import os
from collections.abc import Iterator

import pytest

from tests.attacks.peers import ask_json
from tests.attacks.tenants import ALICE, MALLORY, UIDS, Tenants
from tests.eventually import eventually
from tests.nginx_server import free_ports

HERS, HIS = "m.example", "a.example"


@pytest.fixture
def port(tenants: Tenants) -> Iterator[int]:
    """A port that nobody has. The sites are gone after the test."""
    tenants.expect("claims the socket|served without its alias")
    yield free_ports(1)[0]
    for host in [path.stem for path in tenants.vassals.glob("*.ini")]:
        tenants.remove(host)
    for host in (HERS, HIS):
        tenants.until(host, None)
    eventually(lambda: not _refused(tenants), what="no ini is refused")


def _refused(tenants: Tenants) -> dict[str, str]:
    report = tenants.call("GET", "/v1/status")[1]
    return {each["file"]: each["error"] for each in report["refused"]}


def _write(tenants: Tenants, tenant: str, domain: str, *more: str, **options: str) -> None:
    draft = tenants.folder / "draft"
    draft.write_text("\n".join([tenants.ini(domain, **options), *more]))
    os.chown(draft, UIDS[tenant], -1)
    draft.rename(tenants.vassals / f"{domain}.ini")


def test_an_ini_that_sorts_first_takes_no_port(tenants: Tenants, port: int) -> None:
    address = f"127.0.0.1:{port}"
    tenants.host(ALICE, HERS, http_socket=address)
    assert tenants.get(HERS).status == 200
    assert tenants.stop() == 0
    _write(tenants, MALLORY, HIS, http_socket=address)
    tenants.start()
    tenants.until(HERS, "parked")
    eventually(lambda: f"{HIS}.ini" in _refused(tenants), what="his ini is refused")
    assert tenants.get(HERS).status == 200
    assert tenants.state(HIS) is None
    [told] = ask_json(MALLORY, tenants.run_dir / "control.sock", "/v1/status")["refused"]
    assert told["error"].endswith(
        f"the socket {address}, which an app of another user has; drop it"
    )


@pytest.mark.parametrize("name", ["app.sock", "port"])
def test_whoever_can_bind_a_socket_has_it(tenants: Tenants, port: int, name: str) -> None:
    """Her folder, into which he cannot write, and a port for root alone."""
    home = tenants.folder / "home"
    home.mkdir(exist_ok=True)
    os.chown(home, UIDS[ALICE], -1)
    owner, address = (ALICE, str(home / name)) if name == "app.sock" else ("root", "127.0.0.1:81")
    tenants.host(MALLORY, HIS, http_socket=address)
    _write(tenants, owner, HERS, http_socket=address)
    tenants.until(HERS, "parked")
    eventually(lambda: f"{HIS}.ini" in _refused(tenants), what="his ini is refused")
    assert tenants.get(HERS).status == 200


def test_an_ini_of_root_gets_its_port_back(tenants: Tenants, port: int) -> None:
    address = f"127.0.0.1:{port}"
    tenants.host(MALLORY, HIS, http_socket=address)
    assert tenants.get(HIS).status == 200
    _write(tenants, "root", HERS, http_socket=address)
    tenants.until(HERS, "parked")
    eventually(lambda: f"{HIS}.ini" in _refused(tenants), what="his ini is refused")
    assert tenants.get(HERS).status == 200


@pytest.mark.parametrize("first", ["alias", "domain"])
def test_an_alias_costs_only_the_ini_that_names_it(tenants: Tenants, port: int, first: str) -> None:
    more = ("[emperor]", f"aliases = {HERS} other.example")
    if first == "alias":
        _write(tenants, "root", HIS, *more)
        eventually(lambda: tenants.get(HERS).status == 200, what="the alias is served")
    tenants.host(ALICE, HERS)
    if first == "domain":
        _write(tenants, "root", HIS, *more)
    told = f"not served for {HERS}, which another ini has: drop the alias, or the other ini"
    eventually(lambda: (his := tenants.vassal(HIS)) and his["last_error"] == told, what=told)
    assert tenants.detail(HIS)["aliases"] == ["other.example"]
    assert tenants.get(HERS).status == tenants.get("other.example").status == 200
    assert tenants.state(HERS) == tenants.state(HIS) == "running"
    tenants.remove(HERS)
    eventually(lambda: HERS in tenants.detail(HIS)["aliases"], what="the alias is its own")
    assert tenants.get(HERS).status == 200


def test_a_port_of_thousands_of_digits_is_a_claim_like_any(tenants: Tenants) -> None:
    tenants.host(ALICE, HERS)
    tenants.expect("claims the socket 0.0.0.0:999")
    for domain in (HIS, f"more.{HIS}"):
        tenants.drop_of(MALLORY, domain, http_socket=f":{'9' * 5000}")
    assert tenants.call("POST", "/v1/rescan")[0] == 200
    assert len(_refused(tenants)) == 1
    assert tenants.get(HERS).status == 200
    for domain in (HERS, HIS, f"more.{HIS}"):
        tenants.remove(domain)
        tenants.until(domain, None)


def test_a_log_or_pidfile_of_a_neighbour_is_not_his(tenants: Tenants, port: int) -> None:
    tenants.host(ALICE, HERS)
    assert tenants.get(HERS).status == 200
    log = tenants.logs / f"{HERS}.log"
    before = log.read_bytes()
    tenants.expect(f"{HIS}")
    for option in ("logto", "pidfile"):
        tenants.host(MALLORY, HIS, **{option: str(log), "print": "mallory was here"})
        assert tenants.get(HIS).status == 503
        tenants.remove(HIS)
        tenants.until(HIS, None)
    now = log.read_bytes()
    assert now.startswith(before), "her own app may have printed more"
    assert b"mallory" not in now
    assert tenants.get(HERS).status == 200
