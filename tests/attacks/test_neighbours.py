"""An app may try whatever it likes from inside: it reaches neither its neighbour nor the daemon."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.attacks.peers import as_tenant
from tests.attacks.tenants import ALICE, MALLORY, UIDS, Tenants, groups
from tests.eventually import eventually

MINE, HERS = "mallory.example", "alice.example"
# What the daemon has open for an app that runs: its pipe, its pidfd and what it shares with it.
APP_FDS = 4


@pytest.fixture(scope="module", autouse=True)
def sites(tenants: Tenants) -> Iterator[None]:
    """Both apps run. The inis have the mode 0600."""
    home = tenants.folder / "home"
    home.mkdir()
    os.chown(home, UIDS[MALLORY], -1)
    tenants.host(MALLORY, MINE, "intruder.py", enable_threads="true", env=f"LINK={home}/link")
    tenants.host(ALICE, HERS, env="SECRET=hers")
    for domain in (MINE, HERS):
        (tenants.vassals / f"{domain}.ini").chmod(0o600)
    assert tenants.get(HERS).status == 200
    yield
    for domain in (MINE, HERS):
        tenants.remove(domain)
        tenants.until(domain, None)


def attack(tenants: Tenants, name: str, targets: object = None) -> Any:
    """What mallory's app achieves."""
    reply = tenants.post(MINE, json.dumps(targets).encode(), f"/{name}")
    assert reply.status == 200, reply.text
    return json.loads(reply.text)


def everything_in(*folders: Path) -> list[str]:
    """These folders and all that is in them."""
    return [
        path
        for folder in folders
        for at, _, files in os.walk(folder)
        for path in (at, *(f"{at}/{name}" for name in files))
    ]


def test_mallory_reaches_no_process_of_others(tenants: Tenants) -> None:
    assert attack(tenants, "child") == [], "each attack works on a process of mallory's own"
    hers = tenants.leader(HERS)
    [worker] = psutil.Process(hers).children()
    others = {"master": hers, "worker": worker.pid, "emperord": tenants.process.pid}
    assert attack(tenants, "processes", others) == []


def test_mallory_changes_no_file_of_others(tenants: Tenants) -> None:
    own = tenants.vassals / f"{MINE}.ini"
    places = everything_in(tenants.vassals, tenants.run_dir, tenants.logs, tenants.sockets)
    others = [place for place in places if place != str(own)]
    assert f"{tenants.logs}/{HERS}.log" in others
    [copy] = [place for place in others if place.endswith(f"/{MINE}.ini")]
    assert set(attack(tenants, "files", others)) == {
        f"read {tenants.vassals}", f"read {tenants.run_dir}", f"read {tenants.logs}",
        f"read {tenants.sockets}", f"read {copy}",
    }  # fmt: skip


def test_mallory_changes_no_control_group(tenants: Tenants) -> None:
    files = everything_in(*groups(tenants.folder))
    assert [file for file in files if file.endswith("cgroup.procs")]
    assert attack(tenants, "writable", files) == []


def test_an_app_has_no_descriptor_of_the_daemons(tenants: Tenants) -> None:
    own = set(attack(tenants, "descriptors").values())
    folder = Path(f"/proc/{tenants.process.pid}/fd")
    daemons = {os.readlink(each) for each in folder.iterdir() if each.exists()}
    listener = own & {each for each in daemons if each.startswith("socket:")}
    assert len(listener) == 1, "its listener, which the daemon keeps"
    assert own & daemons <= {*listener, "/dev/null", "anon_inode:[eventpoll]"}
    assert f"{tenants.logs}/{MINE}.log" in own


def test_mallory_never_connects_to_alices_app(tenants: Tenants) -> None:
    attack(tenants, "knock", str(tenants.sockets / HERS / "socket"))
    ini = tenants.vassals / f"{HERS}.ini"
    assert tenants.call("POST", f"/v1/vassals/{HERS}/sleep")[0] == 200
    tenants.until(HERS, "parked")
    assert tenants.get(HERS).status == 200
    before = tenants.leader(HERS)
    ini.touch()
    eventually(lambda: tenants.leader(HERS) != before, what="alice's app was reloaded")
    kept = tenants.folder / "kept"
    ini.rename(kept)
    tenants.until(HERS, None)
    kept.rename(ini)
    tenants.until(HERS, "parked")
    assert tenants.get(HERS).status == 200
    tries = attack(tenants, "knocked")
    assert tries.pop("PermissionError") > 1000
    assert tries.keys() <= {"FileNotFoundError"}


HOLD = """\
import fcntl, os, sys
kept = []
for path in sys.argv[1:]:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        continue
    kept.append(path)
print(*kept, flush=True)
sys.stdin.read()
"""


def test_no_lock_of_mallorys_keeps_a_daemon_from_starting(tenants: Tenants) -> None:
    places = everything_in(tenants.vassals, tenants.run_dir, tenants.logs, tenants.sockets)
    command = as_tenant(MALLORY, "/usr/bin/python3", "-c", HOLD, *places)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        held = holder.stdout.readline().split()
        assert str(tenants.run_dir) in held, "a folder that everybody may list"
        assert str(tenants.run_dir / "emperord.lock") not in held
        tenants.crash()
        assert tenants.get(HERS).status == 200
        assert holder.poll() is None


def test_an_app_with_all_its_descriptors_costs_nobody_one(tenants: Tenants) -> None:
    domain, other = "hoarder.example", "sleeper.example"
    tenants.host(MALLORY, domain, "hoarder.py")
    tenants.host(ALICE, other)
    before = tenants.fds
    assert int(tenants.get(domain).text) > 1000
    assert tenants.get(HERS).status == 200
    assert tenants.get(other).status == 200, "an app of a neighbour can start"
    assert tenants.fds <= before + 2 * APP_FDS
    for each in (domain, other):
        tenants.remove(each)
        tenants.until(each, None)
