"""Which apps booted at the same time, and in which order, by their notes and the daemon's log."""

from pathlib import Path

from tests.backend import Backend

_SLOW = "boots for long"


def most_at_once(notes: Path) -> int:
    """How many apps, by their own notes, were booting at the same time."""
    now = most = 0
    for line in notes.read_text().splitlines():
        now += 1 if line == "begins" else -1
        most = max(most, now)
    return most


def history(backend: Backend) -> list[str]:
    """What happened to any vassal, in order, by the daemon's log: it `waits` and `moves on`, or
    `boots` at once; it `is slow` and loses its place; it `accepts`; it `is gone`."""
    lines = backend.lines(rf" INFO \S+: (\w+ → \w+: |{_SLOW})")
    steps = [line.split(maxsplit=4)[3:] for line in lines]
    slow = set()
    happened = []
    for number, (domain, what) in enumerate(steps):
        if what.startswith(_SLOW):
            slow.add(domain)
            happened.append("is slow")
        elif "its turn to boot" in what:
            happened.append("moves on")
        elif what.startswith("parked → starting"):
            follows = next((w for d, w in steps[number + 1 :] if d == domain), "")
            happened.append("waits" if "its turn to boot" in follows else "boots")
        elif what.startswith("starting → running"):
            happened.append("accepts" if domain not in slow else "accepts late")
            slow.discard(domain)
        elif what.startswith("stopping → parked"):
            happened.append("is gone")
    return happened
