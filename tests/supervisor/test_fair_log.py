"""Too many lines about an app are left out of the log, with a word."""

import logging

import pytest

from emperor.model.log_fields import about
from emperor.supervisor.fair_log import fair_log
from tests.supervisor.world import World


@pytest.fixture
def world() -> World:
    return World()


def test_lines_about_others_and_about_no_app_are_written(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger("emperord.test")
    caplog.set_level(logging.INFO)
    with fair_log(world.governor.vassals, world.clock.time):
        for _ in range(250):
            log.info("%s: woken", "a.example", extra=about("a.example"))
        log.info("b.example: woken", extra=about("b.example"))
        log.info("a line about none")
        world.clock.advance(3)
        log.info("%s: woken", "a.example", extra=about("a.example"))
    log.info("%s: woken", "a.example", extra=about("a.example"))
    lines = [record.getMessage() for record in caplog.records]
    assert lines[:199] == ["a.example: woken"] * 199
    assert lines[199:] == [
        "a.example: woken (the next ones are left out for a while)",
        "b.example: woken",
        "a line about none",
        "a.example: woken (50 lines about it were left out before)",
        "a.example: woken",
    ]
