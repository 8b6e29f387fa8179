"""A tenant who takes all memory, all processes or all CPU takes it from himself."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.attacks.tenants import ALICE, MALLORY, UIDS, Tenants, groups, groups_of_mallory, hits
from tests.controllers import needs_controllers, needs_yielding
from tests.eventually import eventually
from tests.linux.control_groups import removed


def computed(tenants: Tenants, tenant: str) -> float:
    """How many seconds of CPU the live processes of a tenant have used."""
    total = 0.0
    for process in tenants.children():
        with suppress(psutil.Error):
            if process.uids().real == UIDS[tenant]:
                total += sum(process.cpu_times()[:2])
    return total


def cause(tenants: Tenants) -> str:
    """What `emperorctl status` says of mallory's app."""
    vassal = tenants.vassal("mallory.example")
    assert vassal
    return str(vassal["last_error"])


@needs_controllers
@pytest.mark.usefixtures("alice")
def test_a_memory_hog_is_killed_alone(tenants: Tenants) -> None:
    tenants.nginx.expect("upstream prematurely closed .*GET /memory")
    tenants.host(MALLORY, "mallory.example", "hog.py", emperor="memory-max = 100M")
    assert tenants.get("mallory.example").status == 200
    assert tenants.get("mallory.example", "/memory").status == 502
    eventually(lambda: tenants.get("mallory.example").status == 200, what="a new worker answers")
    assert cause(tenants).startswith("cannot get more memory: memory-max = 100M is reached, and")
    assert hits(tenants, "memory-max") == 1


@needs_controllers
@pytest.mark.usefixtures("alice")
def test_a_fork_bomb_is_stopped_alone(tenants: Tenants) -> None:
    tenants.host(MALLORY, "mallory.example", "hog.py", emperor="pids-max = 40")
    assert 30 < int(tenants.get("mallory.example", "/fork").text) < 40
    assert tenants.get("mallory.example").status == 200
    assert cause(tenants).startswith("cannot start a process: pids-max = 40 is reached, and a fork")
    assert hits(tenants, "pids-max") == 1


@needs_controllers
@pytest.mark.usefixtures("alice")
def test_the_limit_that_was_reached_last_is_told(tenants: Tenants) -> None:
    tenants.nginx.expect("upstream prematurely closed .*GET /memory")
    limits = "memory-max = 100M\npids-max = 40"
    tenants.host(MALLORY, "mallory.example", "hog.py", emperor=limits)
    assert tenants.get("mallory.example", "/memory").status == 502
    eventually(lambda: tenants.get("mallory.example").status == 200, what="a new worker answers")
    assert "memory-max = 100M is reached" in cause(tenants)
    assert tenants.get("mallory.example", "/fork").status == 200
    assert "pids-max = 40 is reached" in cause(tenants)


@needs_controllers
def test_a_cpu_hog_gets_the_share_of_one_tenant(tenants: Tenants) -> None:
    for tenant, domain, spinners in ((MALLORY, "mallory.example", 8), (ALICE, "alice.example", 1)):
        tenants.host(tenant, domain, "hog.py", env=f"SPINNERS={spinners}")
        assert tenants.get(domain, "/cpu").status == 200
    before = computed(tenants, ALICE), computed(tenants, MALLORY)
    eventually(lambda: computed(tenants, ALICE) > before[0] + 0.5, what="alice has computed")
    hers, his = computed(tenants, ALICE) - before[0], computed(tenants, MALLORY) - before[1]
    assert hers > 3 * his / 8, "one process of hers has the share of several of his"
    for domain in ("alice.example", "mallory.example"):
        tenants.remove(domain)
        tenants.until(domain, None)


def yielding(tenants: Tenants) -> list[str]:
    """Which users yield the CPU, by what `emperorctl status` is told."""
    told = tenants.call("GET", "/v1/status")[1]["emperor"]["yielding"]
    assert isinstance(told, list)
    return told


def marks(tenants: Tenants, tenant: str) -> set[str]:
    """What the kernel says of it: 1 for a tenant that yields."""
    files = [group / "cpu.idle" for group in groups(tenants.folder)]
    name = f"uid-{UIDS[tenant]}"
    return {
        file.read_text().strip() for file in files if file.exists() and file.parent.name == name
    }


def computes(tenants: Tenants, tenant: str, domain: str) -> None:
    """Host an app of that tenant's, and have it compute without end."""
    tenants.host(tenant, domain, "hog.py")
    assert tenants.get(domain, "/cpu").status == 200


@needs_controllers
@needs_yielding
@pytest.mark.usefixtures("alice")
def test_a_cpu_hog_yields_to_its_neighbour(tenants: Tenants) -> None:
    computes(tenants, MALLORY, "mallory.example")
    eventually(lambda: yielding(tenants) == [MALLORY] and marks(tenants, MALLORY) == {"1"})
    assert marks(tenants, ALICE) == {"0"}
    assert "games takes all of the CPU that it can get: it yields" in tenants.log.read_text()
    tenants.call("POST", "/v1/vassals/mallory.example/sleep")
    eventually(lambda: not yielding(tenants))


@needs_controllers
@needs_yielding
def test_who_yields_gets_its_share_beside_another_hog(tenants: Tenants) -> None:
    """A tenant cannot have its neighbour yield, and then take what that one leaves."""
    computes(tenants, ALICE, "alice.example")
    eventually(lambda: yielding(tenants) == [ALICE])
    computes(tenants, MALLORY, "mallory.example")
    before = computed(tenants, ALICE), computed(tenants, MALLORY)

    def has_her_share() -> bool:
        hers, his = computed(tenants, ALICE) - before[0], computed(tenants, MALLORY) - before[1]
        return his > 0.5 and hers > his / 2

    eventually(has_her_share)
    for domain in ("alice.example", "mallory.example"):
        tenants.remove(domain)
        tenants.until(domain, None)


@needs_controllers
@pytest.mark.usefixtures("alice")
def test_a_tenants_ini_cannot_raise_a_limit(tenants: Tenants) -> None:
    raised = "pids-max = 0\nmemory-max = 0\nnice = -20\ncpu-weight = 10000"
    tenants.host(MALLORY, "mallory.example", "hog.py", emperor=raised)
    assert 900 < int(tenants.get("mallory.example", "/fork").text) < 1000


@needs_controllers
def test_a_limit_that_lets_nothing_boot_is_mallorys_own(tenants: Tenants, alice: int) -> None:
    tenants.expect("mallory.example: ")
    tenants.host(MALLORY, "mallory.example", emperor="memory-max = 1M")
    assert tenants.get("mallory.example").status == 503
    assert cause(tenants).startswith("cannot get more memory: memory-max = 1M is reached, and")
    assert tenants.leader("alice.example") == alice


def was_taken_away(group: Path) -> bool:
    """Move all processes out of a group, and remove it with all groups in it. False while a process
    is left: it was forked meanwhile, or is on its way out."""
    for file in group.rglob("cgroup.procs"):
        for pid in file.read_text().split():
            with suppress(ProcessLookupError):  # it has ended by itself
                (group.parents[1] / "cgroup.procs").write_text(pid)
    return all(removed(Path(at)) for at, _, _ in os.walk(group, topdown=False))


@contextmanager
def limited(name: str, places: list[Path]) -> Iterator[None]:
    """Groups around all apps have no room for another, as far as they know that limit."""
    files = [place / name for place in places if (place / name).exists()]
    assert files
    for file in files:
        file.write_text("0")
    try:
        yield
    finally:
        for file in files:
            file.write_text("max")


@pytest.mark.usefixtures("alice")
def test_groups_that_vanish_or_are_full_are_told(tenants: Tenants) -> None:
    domain = "mallory.example"
    tenants.expect(f"{domain}: .*(cannot make the control group|did not accept within 2 s)")
    tenants.host(MALLORY, domain, emperor="start-timeout = 2")
    assert tenants.get(domain).status == 200
    found = groups_of_mallory(tenants)
    for group in found:
        eventually(partial(was_taken_away, group), what=f"{group} is removed")
    assert tenants.get(domain).status == 200, "what runs goes on"
    pid = tenants.leader(domain)
    assert tenants.call("POST", f"/v1/vassals/{domain}/sleep")[0] == 200
    assert not psutil.pid_exists(pid), "it ends without its group"
    assert tenants.get(domain).status == 200, "its groups are made again"
    around = [group.parent for group in found]
    for limit, error in (
        ("cgroup.max.descendants", r"cannot make the control group .*; raise cgroup.max.descendan"),
        ("pids.max", r"did not accept .*; cannot start a process: a control group around all apps"),
    ):
        if not any((place / limit).exists() for place in around):
            continue  # v1 bounds no groups
        assert tenants.call("POST", f"/v1/vassals/{domain}/sleep")[0] == 200
        with limited(limit, around):
            assert tenants.get(domain).status == 503
            assert re.match(error, cause(tenants)), cause(tenants)
            assert tenants.get("alice.example").status == 200
        assert tenants.call("POST", f"/v1/vassals/{domain}/start")[0] == 200
