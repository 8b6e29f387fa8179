"""A site under load, and the seeds that decide what happens to it.

FAULT_SEEDS=17,4 draws what these seeds drew before, FAULT_STRIKES=100 makes each run longer, and
FAULT_ONLY=killed leaves those faults whose name has that in it.
"""

import os
from collections.abc import Iterator
from random import SystemRandom

import pytest

from tests.faults.site import Site, standing
from tests.traces import public_folder

# As many as `make test` has time for. Nobody has chosen them.
_RUNS = 5


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One run for each seed."""
    if "seed" in metafunc.fixturenames:
        chance = SystemRandom()
        drawn = [str(chance.randrange(10**6)) for _ in range(_RUNS)]
        chosen = os.environ.get("FAULT_SEEDS", ",".join(drawn))
        metafunc.parametrize("seed", [int(seed) for seed in chosen.split(",")])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print them always: a failure must not be lost because nobody looked for its seed."""
    for reports in (terminalreporter.getreports(kind) for kind in ("passed", "failed")):
        for report in reports:
            if report.when == "call" and "/faults/test_faults.py" in report.nodeid:
                terminalreporter.line(f"{report.outcome}: {report.nodeid}, {report.duration:.0f} s")


@pytest.fixture
def site() -> Iterator[Site]:
    with public_folder() as folder, standing(folder) as site:
        yield site
