"""Memory and CPU of real process groups."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from emperor.linux.usage import proportional, resident_peaks, usage
from tests.eventually import eventually

MEGABYTES = 20
# Two processes that hold as much memory each, and burn a little CPU; both print when they have.
FAMILY = f"""
import os, sys, time
os.fork()
memory = bytearray(os.urandom({MEGABYTES} << 20))
while time.process_time() < 0.3: pass
os.write(1, b"x")
time.sleep(1000)
"""
# A process that reaps a child which burnt some CPU.
PARENT = """
import os, sys, time
if not os.fork():
    while time.process_time() < 0.3: pass
    os._exit(0)
os.wait()
os.write(1, b"x")
time.sleep(1000)
"""

RESTLESS = """
import os
os.write(1, b"x")
while True:
    if not os.fork():
        os._exit(0)
    os.wait()
"""


# Two processes that have held more than they hold.
FREED = f"""
import os, time
os.fork()
memory = bytearray(os.urandom({MEGABYTES} << 20))
del memory
os.write(1, b"x")
time.sleep(1000)
"""


@contextmanager
def group_of(script: str, processes: int) -> Iterator[int]:
    """The number of a new process group that runs `script`, when so many have printed a byte."""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True
    ) as leader:
        try:
            assert leader.stdout is not None
            for _ in range(processes):
                assert os.read(leader.stdout.fileno(), 1) == b"x"
            yield leader.pid
        finally:
            os.killpg(leader.pid, 9)


def test_the_peaks_of_a_group_are_those_of_its_processes() -> None:
    with group_of(FREED, 2) as family:
        [peak] = resident_peaks([family]).values()
        assert peak > 2 * MEGABYTES << 20 > usage([family])[family].rss_bytes
    eventually(lambda: resident_peaks([family]) == {}, what="both have ended")


def test_a_groups_usage_is_the_sum_of_its_own_processes() -> None:
    with group_of(FAMILY, 2) as family, group_of(PARENT, 1) as other:
        used = usage([family])
        assert used.keys() == {family}
        assert used[family].rss_bytes > 2 * MEGABYTES << 20
        assert used[family].cpu_seconds >= 0.55
        assert usage([family, other]).keys() == {family, other}


def test_the_time_of_reaped_workers_stays_on_the_account() -> None:
    with group_of(PARENT, 1) as group:
        assert usage([group])[group].cpu_seconds >= 0.25


def test_what_processes_share_counts_once() -> None:
    with group_of(FAMILY, 2) as group:
        memory = proportional([group])[group]
        assert 2 * MEGABYTES << 20 < memory < usage([group])[group].rss_bytes


def test_a_group_that_is_gone_has_no_usage() -> None:
    with group_of(PARENT, 1) as group:
        pass
    eventually(lambda: usage([group]) == {})
    assert usage([]) == {}


def test_processes_that_vanish_meanwhile_spoil_nothing() -> None:
    with group_of(RESTLESS, 1) as group:
        for _ in range(20):
            assert usage([group])[group].rss_bytes > 0
