"""The machine that the tests here boot leaves nothing running, however they end."""

import subprocess
import sys

import psutil

from tests.eventually import eventually
from tests.systemd.cgroups import remove_groups
from tests.traces import public_folder

RUN_OF_TESTS = """\
import sys, time
from pathlib import Path
from tests.systemd.box import booted
with booted(Path(sys.argv[1]), {}, {}) as box:
    print(box.leader, flush=True)
    time.sleep(1000)
"""


def test_a_box_halts_when_the_run_of_its_tests_is_killed() -> None:
    command = [sys.executable, "-c", RUN_OF_TESTS]
    with public_folder() as folder:
        with subprocess.Popen([*command, str(folder)], stdout=subprocess.PIPE) as run:
            assert run.stdout
            leader = psutil.Process(int(run.stdout.readline()))
            run.kill()
        eventually(lambda: not leader.is_running(), what="the box halts")
        remove_groups(folder.name)
