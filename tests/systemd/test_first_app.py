"""The tutorial, docs/first-app.md: each command works as it stands there, on a machine with nothing
but the package, and prints what the page shows."""

import re
from functools import partial

from tests.eventually import eventually
from tests.systemd.box import Box
from tests.systemd.installation import ROOT
from tests.systemd.packages import EMPEROR, install
from tests.systemd.shown import pattern

PAGE = ROOT / "docs" / "first-app.md"
STEP = re.compile(r"(?ms)^```sh\n(?P<commands>.*?)^```\n(?:\n```text\n(?P<output>.*?)^```\n)?")
# What only looks may be done again, until the state is as the page says.
LOOKS = ("emperorctl status", "emperorctl why")


def prints_what_the_page_shows(machine: Box, step: re.Match[str]) -> bool:
    """Do a step. Fails unless it prints what the page shows, if that shows an output."""
    printed = " ".join(machine.run("sh", "-uc", step["commands"]).stdout.split())
    shown = pattern(step["output"] or "…")
    assert re.fullmatch(shown, printed), f"{step['commands']}printed: {printed}"
    return True


def test_an_output_differs_in_numbers_only() -> None:
    shown = pattern("up 2m09s (2026-11-29 12:44:41), 0.7 ms, from 127.0.0.1: a.b …\n")
    assert re.fullmatch(shown, "up 1s (2027-01-02 10:00:00), 1.2 s, from ::1: a.b and so on")
    assert not re.fullmatch(shown, "up 1s (2027-01-02 10:00:00), 1.2 s, from ::1: axb and so on")
    shown = pattern("192.0.2.11: 3 → 5 slots")
    assert re.fullmatch(shown, "192.0.2.11: 30 → 50 slots")
    assert not re.fullmatch(shown, "192.0.2.12: 3 → 5 slots")


def test_the_tutorial_works_word_for_word(machine: Box) -> None:
    building, *steps = STEP.finditer(PAGE.read_text(encoding="utf-8"))
    assert "make -C emperord deb" in building["commands"]
    assert len(steps) > 10
    install(machine, EMPEROR)
    for step in steps:
        is_right = partial(prints_what_the_page_shows, machine, step)
        if step["commands"].startswith(LOOKS):
            eventually(is_right, what=step["commands"])
        else:
            is_right()
    eventually(lambda: "no vassals" in machine.must("emperorctl", "status"))
