"""What a tenant's apps leave in memory goes on to count when their processes are dead."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.tenants import MALLORY, UIDS, Tenants, groups, groups_of_mallory, hits
from tests.controllers import needs_controllers
from tests.eventually import eventually
from tests.nginx_server import Nginx
from tests.traces import public_folder

pytestmark = needs_controllers

MB = 1 << 20
LEFT, MOST = 40, 90  # MB
STARTS = 5


@pytest.fixture
def house() -> Iterator[Tenants]:
    """A daemon that gives each tenant a little memory."""
    with public_folder() as folder, Nginx(folder) as nginx:
        nginx.expect("upstream prematurely closed connection")
        limits = {"memory_max": "70M", "tenant_memory_max": f"{MOST}M"}
        with Tenants(folder, nginx, **limits) as house:
            yield house


def segments() -> dict[str, int]:
    """The resident bytes of mallory's System V shared memory, by the number of the segment."""
    rows = Path("/proc/sysvipc/shm").read_text().splitlines()
    numbers = {name: at for at, name in enumerate(rows[0].split())}
    found = [row.split() for row in rows[1:]]
    mallorys = [row for row in found if row[numbers["cuid"]] == str(UIDS[MALLORY])]
    return {row[numbers["shmid"]]: int(row[numbers["rss"]]) for row in mallorys}


@pytest.fixture(params=["System V", "/dev/shm"])
def place(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where mallory leaves memory: a folder, or none. All of it is deleted in the end."""
    if request.param != "System V":
        with tempfile.TemporaryDirectory(dir=request.param) as folder:
            os.chown(folder, UIDS[MALLORY], -1)
            yield folder
        return
    yield ""
    free("")


def left(place: str) -> int:
    """How many bytes are left."""
    if not place:
        return sum(segments().values())
    return sum(path.stat().st_blocks * 512 for path in Path(place).iterdir())


def free(place: str) -> None:
    """Delete what is left."""
    for path in Path(place).iterdir() if place else ():
        path.unlink()
    for number in () if place else segments():
        subprocess.run(["ipcrm", "-m", number], check=True)


def host_leaver(house: Tenants, place: str) -> None:
    """Have an app of mallory's that leaves so much at each start."""
    house.host(
        MALLORY, "leaver.example", "leaver.py", env=f"SIZE={LEFT * MB}\nenv = FOLDER={place}"
    )


def run(house: Tenants, domain: str) -> None:
    """Have the app leave more, and end it."""
    house.get(domain)
    house.call("POST", f"/v1/vassals/{domain}/sleep")
    eventually(lambda: house.state(domain) in ("parked", "throttled"))
    # Where each controller has a hierarchy of its own, one group stays for the memory alone.
    eventually(lambda: len(groups_of_mallory(house)) <= 1, what="the groups are removed")


def test_memory_that_an_app_leaves_goes_on_to_count(house: Tenants, place: str) -> None:
    house.expect("leaver.example: ")
    host_leaver(house, place)
    for _ in range(STARTS):
        run(house, "leaver.example")
    assert LEFT * MB <= left(place) <= MOST * MB
    assert hits(house, "tenant-memory-max") > 0
    free(place)
    house.host(MALLORY, "plain.example")
    run(house, "plain.example")
    eventually(lambda: not groups_of_mallory(house), what="nothing is left to count")


def test_no_group_outlives_the_daemon_for_what_is_left(house: Tenants, place: str) -> None:
    host_leaver(house, place)
    run(house, "leaver.example")
    assert groups_of_mallory(house)
    assert house.stop() == 0
    assert not groups(house.folder)
