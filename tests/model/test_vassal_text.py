"""A vassal in words."""

from dataclasses import replace

import pytest

from emperor.model.status import ReportedState, VassalStatus
from emperor.model.vassal_text import next_start
from tests.cli.records import NOW, parked, running, throttled

FAILED = throttled("a.example")


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (FAILED, "the next visitor after 12s starts it again"),
        (replace(FAILED, idle_seconds=0), "it starts again in 12s"),
        (
            replace(FAILED, state=ReportedState.PARKED, retry_at=None),
            "the next visitor starts it again",
        ),
        (replace(FAILED, maintenance_since=NOW), None),
        (replace(running("a.example"), consecutive_failures=1), None),
        (parked("a.example"), None),
    ],
)
def test_it_is_told_who_starts_an_app_again_that_has_failed(
    status: VassalStatus, told: str | None
) -> None:
    again = next_start(status)
    assert (again.told(NOW) if again else None) == told
