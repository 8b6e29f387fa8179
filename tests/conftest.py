"""What holds for the whole suite: its own namespaces, fixed examples, and nothing left behind."""

import os
import signal
import sys
from collections.abc import Iterator

import hypothesis
import pytest

from tests import host
from tests.eventually import eventually
from tests.launcher import skip_others
from tests.traces import PREFIX, VARIABLE, traces

# The examples of hypothesis are the same in each run. `make soak` draws others. No test depends on
# how long an example takes.
_AT_LEISURE = hypothesis.settings(
    deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("fixed", _AT_LEISURE, derandomize=True)
hypothesis.settings.register_profile("drawn", _AT_LEISURE, database=None, print_blob=True)
hypothesis.settings.load_profile("fixed")

# Folders whose tests take long. They are distributed first, so that no core waits for the last one.
_SLOW = ("systemd", "faults", "fleet", "journeys")

# Without byte code each of the hundreds of daemons of a run would compile emperord anew, which
# takes a daemon as long as the rest of its start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell without job control starts what it runs in the background with SIGINT ignored, which
# children inherit. Tests of Ctrl-C need what a terminal gives.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow folders, and skip what is about bases in a run without any."""
    ranks = {name: rank for rank, name in enumerate(_SLOW)}
    items.sort(key=lambda item: ranks.get(item.path.parent.name, len(ranks)))
    for item in items:
        skip_others(item)


@pytest.fixture(scope="session", autouse=True)
def separate_from_the_host() -> None:
    """The host's ports and files, and those of another run, are not seen. The tests that need this
    need root anyway."""
    if os.geteuid() == 0:
        host.leave()


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_behind(separate_from_the_host: None) -> Iterator[None]:
    """No process, mount, folder, control group or namespace outlives the last test."""
    os.environ[VARIABLE] = PREFIX
    yield
    del os.environ[VARIABLE]

    def nothing_is_left() -> bool:
        assert not (left := traces()), "\n".join(left)
        return True

    eventually(nothing_is_left, what="nothing is left behind")
