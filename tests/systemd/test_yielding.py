"""The mark by which all apps yield the CPU, in the group that systemd has made for them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controllers import needs_yielding
from tests.eventually import eventually
from tests.systemd.box import Box
from tests.systemd.cgroups import Cgroups
from tests.systemd.installation import with_emperord
from tests.systemd.service import add, crash, get, upgrade

MARK = "/sys/fs/cgroup/cpu/system.slice/emperord-apps.service/cpu.idle"


@pytest.fixture
def limited_box(installed: Path) -> Iterator[Box]:
    """A machine in which groups have the controller cpu."""
    with with_emperord(installed, Cgroups.V1, has_limits=True) as box:
        yield box


def is_marked(box: Box) -> bool:
    return box.must("cat", MARK) == "1\n"


def mark(box: Box) -> None:
    """Do as a daemon that has ended since."""
    box.must("sh", "-c", f"echo 1 >{MARK}")


@needs_yielding
def test_units_may_be_reloaded_and_a_new_daemon_begins_anew(limited_box: Box) -> None:
    box = limited_box
    box.must("systemctl", "start", "emperord", "nginx")
    add(box, "app.example")
    assert get(box, "app.example").startswith("200 ")
    mark(box)
    box.must("systemctl", "daemon-reload")
    assert is_marked(box)
    crash(box)
    eventually(lambda: not is_marked(box), what="a daemon after a crash has taken it away")
    mark(box)
    upgrade(box)
    eventually(lambda: not is_marked(box), what="a daemon after an upgrade has taken it away")
    mark(box)
    box.must("systemctl", "stop", "emperord")
    box.must("systemctl", "start", "emperord")
    assert not is_marked(box)
