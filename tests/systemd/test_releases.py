"""The orders of an administrator have the same effects on each systemd, under both versions of
cgroups: on this machine, and on each release that `make test-on` has made a root of."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.roots import has_our_wheels, made_roots
from tests.systemd.box import Box
from tests.systemd.cgroups import Cgroups, versions_here
from tests.systemd.installation import with_emperord, with_emperord_on
from tests.systemd.service import (
    NOTED,
    PLACE,
    add,
    crash,
    get,
    leaders,
    left_over,
    show,
    under_load,
    upgrade,
)

SOCKETS = ("emperord.socket", "emperord-control.socket")
STALE = "its wheels are of another checkout: run `make test-on SUITE={}`"


def _machines() -> Iterator[object]:
    for cgroups in versions_here():
        yield pytest.param(None, cgroups, id=f"this machine, {cgroups}")
        for root in made_roots():
            if cgroups is Cgroups.V1 and not _knows_v1(root):
                continue
            stale = pytest.mark.skipif(not has_our_wheels(root), reason=STALE.format(root.name))
            yield pytest.param(root, cgroups, id=f"{root.name}, {cgroups}", marks=stale)


def _knows_v1(root: Path) -> bool:
    """Whether its systemd boots under cgroups v1, which 258 has dropped."""
    libraries = root.glob("usr/lib/*/systemd/libsystemd-shared-*.so")
    versions = (re.search(r"shared-(\d+)", library.name) for library in libraries)
    return all(found is None or int(found[1]) < 258 for found in versions)


@pytest.mark.parametrize(("root", "cgroups"), list(_machines()))
def test_each_systemd_obeys_alike(root: Path | None, cgroups: Cgroups, installed: Path) -> None:
    machine: AbstractContextManager[Box] = (
        with_emperord(installed, cgroups) if root is None else with_emperord_on(root, cgroups)
    )
    with machine as box:
        has_v2_alone = box.run("test", "-e", "/sys/fs/cgroup/cgroup.controllers").returncode == 0
        assert has_v2_alone is (cgroups is Cgroups.V2)
        print(box.must("systemctl", "--version").splitlines()[0])
        box.must("systemctl", "start", "emperord", "nginx")
        box.must("mkdir", PLACE)
        domains = [f"{name}.example" for name in "abc"]
        for domain in domains:
            add(box, domain, more=NOTED)
            assert get(box, domain).startswith("200 ")
        _reload_and_crash_fail_no_request(box, domains)
        _restart_starts_the_apps_anew(box, domains)
        _stop_is_a_stop(box, domains[0])


def _reload_and_crash_fail_no_request(box: Box, domains: list[str]) -> None:
    before = leaders(box, domains)
    with under_load(box, domains) as load:
        upgrade(box)
        load.go_on()
        crash(box)
        load.go_on()
        upgrade(box)
    assert leaders(box, domains) == before
    assert show(box, "NRestarts") == {"NRestarts": "1"}


def _restart_starts_the_apps_anew(box: Box, domains: list[str]) -> None:
    before = leaders(box, domains)
    box.must("systemctl", "restart", "emperord")
    box.must("systemctl", "is-active", *SOCKETS)
    for domain in domains:
        assert get(box, domain).startswith("200 ")
    assert not set(before) & set(leaders(box, domains))


def _stop_is_a_stop(box: Box, domain: str) -> None:
    box.must("systemctl", "stop", "emperord")
    eventually(lambda: box.run("systemctl", "is-active", *SOCKETS).stdout == "inactive\n" * 2)
    assert show(box, "ActiveState", "Result") == {"ActiveState": "inactive", "Result": "success"}
    assert left_over(box) == ""
    assert get(box, domain).startswith("503 ")
    assert show(box, "ActiveState") == {"ActiveState": "inactive"}
    box.must("systemctl", "start", "emperord")
    assert get(box, domain).startswith("200 ")
