"""One fleet for the tests of a module, found as it was after each of them."""

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.fleet.fleet import Fleet, standing
from tests.fleet.registry_fleet import standing_with_a_registry


@pytest.fixture(scope="module")
def standing_fleet(request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """Built at the first test of a module, taken down after its last; leaves nothing behind. The
    mark `registry` of the module gives it a registry."""
    has_registry = request.node.get_closest_marker("registry")
    before = _footprint()
    with standing_with_a_registry() if has_registry else standing() as fleet:
        yield fleet
    assert _footprint() == before


@pytest.fixture
def fleet(standing_fleet: Fleet) -> Iterator[Fleet]:
    """The fleet, with all backends well before and after the test. Its logs are judged."""
    logs = [log for host in standing_fleet.hosts for log in host.logs]
    for log in logs:
        log.turn_over()
    yield standing_fleet
    standing_fleet.until_settled()
    assert not (lines := [line for log in logs for line in log.unexpected()]), "\n".join(lines)


@pytest.fixture(params=[1, 2], ids=["one balancer", "two balancers"])
def doors(request: pytest.FixtureRequest) -> int:
    """The number of balancers by which the visitors come. All balancers probe the backends."""
    number: int = request.param
    return number


def _footprint() -> dict[str, list[str]]:
    """What this process has open and runs, and what this machine has mounted and connected."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    open_files = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists the folder
            open_files.append(os.readlink(descriptor))
    return {
        "descriptors": sorted(open_files),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "processes": [str(child) for child in psutil.Process().children(recursive=True)],
        "mounts": [line for line in mounts if " overlay " in line],
        "interfaces": sorted(psutil.net_if_stats()),
    }
