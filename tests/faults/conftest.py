"""A site under load, and the seeds that decide what happens to it.

FAULT_SEEDS=17,4 takes these seeds, FAULT_STRIKES=100 makes each run longer, and FAULT_ONLY=killed
takes the faults alone whose name contains that. `make soak` draws seeds.
"""

import os
from collections.abc import Iterator

import pytest

from tests.faults.schedule import FIXED_SEEDS
from tests.faults.site import Site, standing
from tests.traces import public_folder


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One run for each seed."""
    if "seed" in metafunc.fixturenames:
        chosen = os.environ.get("FAULT_SEEDS")
        seeds = [int(seed) for seed in chosen.split(",")] if chosen else FIXED_SEEDS
        metafunc.parametrize("seed", seeds)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show each run with its seed and its time, also where all is well."""
    for reports in (terminalreporter.getreports(kind) for kind in ("passed", "failed")):
        for report in reports:
            if report.when == "call" and "/faults/test_faults.py" in report.nodeid:
                terminalreporter.line(f"{report.outcome}: {report.nodeid}, {report.duration:.0f} s")


@pytest.fixture
def site() -> Iterator[Site]:
    with public_folder() as folder, standing(folder) as site:
        yield site
