"""What a test leaves behind is found at the end of a run."""

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.faults.disks import memory
from tests.fleet.network import Network
from tests.linux.control_groups import HIERARCHIES
from tests.traces import PREFIX, public_folder, traces


@contextmanager
def a_process() -> Iterator[None]:
    with subprocess.Popen(["sleep", "infinity"]) as process:
        yield
        process.kill()


@contextmanager
def a_process_with_an_environment_of_its_own() -> Iterator[None]:
    with public_folder() as folder, subprocess.Popen(["sleep", "9999"], env={}, cwd=folder) as it:
        yield
        it.kill()


@contextmanager
def a_mount() -> Iterator[None]:
    with public_folder() as folder, memory(folder / "disk", "size=64k"):
        yield


@contextmanager
def a_folder() -> Iterator[None]:
    with public_folder(Path("/dev/shm")):
        yield


@contextmanager
def a_control_group() -> Iterator[None]:
    group = HIERARCHIES[0] / f"{PREFIX}group"
    group.mkdir()
    yield
    group.rmdir()


@contextmanager
def a_namespace() -> Iterator[None]:
    with closing(Network()):
        yield


@pytest.mark.parametrize(
    ("make", "pattern"),
    [
        (a_process, "process .*sleep infinity"),
        (a_process_with_an_environment_of_its_own, "process .*sleep 9999"),
        (a_mount, "mount .* tmpfs "),
        (a_folder, "folder /dev/shm/"),
        (a_control_group, "control group .*group"),
        (a_namespace, r"namespace net:\["),
    ],
)
def test_what_is_left_behind_is_told(
    make: Callable[[], AbstractContextManager[None]], pattern: str
) -> None:
    with make():
        eventually(lambda: any(re.match(pattern, trace) for trace in traces()), what=pattern)
    assert not any(re.match(pattern, trace) for trace in traces())
