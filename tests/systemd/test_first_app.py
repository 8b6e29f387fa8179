"""The tutorial, docs/first-app.md: each command works as it stands there, on a machine with nothing
but the package, and prints what the page shows."""

import re

from tests.eventually import eventually
from tests.systemd.box import Box
from tests.systemd.installation import ROOT
from tests.systemd.packages import EMPEROR, install

PAGE = ROOT / "docs" / "first-app.md"
STEP = re.compile(r"(?ms)^```sh\n(?P<commands>.*?)^```\n(?:\n```text\n(?P<output>.*?)^```\n)?")


# A number, a moment or an address, perhaps with its unit, or the id of a request.
VARIES = re.compile(r"\b[0-9a-f]{32}\b|(?<![\w-])(?:::)?\d[\w.:-]*(?: m?s\b)?")
# What only looks may be done again, until the state is as the page says.
LOOKS = ("emperorctl status", "emperorctl why")


def pattern(output: str) -> str:
    """Matches an output of the page on one line, but for numbers, moments and ids of requests, and
    with anything in the place of three dots."""
    parts = [re.escape(part) for part in VARIES.split(" ".join(output.split()))]
    return f"(?:{VARIES.pattern})".join(parts).replace("…", ".*")


def test_an_output_differs_in_numbers_only() -> None:
    shown = pattern("up 2m09s (2026-11-29 12:44:41), 0.7 ms, from 127.0.0.1: a.b …\n")
    assert re.fullmatch(shown, "up 1s (2027-01-02 10:00:00), 1.2 s, from ::1: a.b and so on")
    assert not re.fullmatch(shown, "up 1s (2027-01-02 10:00:00), 1.2 s, from ::1: axb and so on")


def test_the_tutorial_works_word_for_word(machine: Box) -> None:
    building, *steps = STEP.finditer(PAGE.read_text(encoding="utf-8"))
    assert "make -C emperord deb" in building["commands"]
    assert len(steps) > 10
    install(machine, EMPEROR)
    for step in steps:
        commands, shown = step["commands"], pattern(step["output"] or "…")

        def done(commands: str = commands, shown: str = shown) -> bool:
            printed = " ".join(machine.run("sh", "-uc", commands).stdout.split())
            assert re.fullmatch(shown, printed) or commands.startswith(LOOKS), printed
            return re.fullmatch(shown, printed) is not None

        eventually(done, what=commands)
    eventually(lambda: "no vassals" in machine.must("emperorctl", "status"))
