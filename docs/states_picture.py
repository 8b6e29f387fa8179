"""Draws the states of a vassal, and which event leads from one to the other, as SVG.

The arrows come from the table of the life-cycle, and their places from this module.
"""

from collections.abc import Iterator
from itertools import starmap
from math import hypot

from docs.lifecycle_page import transitions
from emperor.model.lifecycle import TABLE, State

# The middle of each box, in pixels.
_PLACES = {
    State.PARKED: (110, 350),
    State.STARTING: (480, 350),
    State.RUNNING: (850, 350),
    State.THROTTLED: (480, 130),
    State.STOPPING: (480, 590),
    State.RELOADING: (850, 590),
}
_BOX = (116, 40)
_LINE = 16
# How far the middle of an arrow is from the straight line, to its left; 0 where it is not listed.
_BENDS = {
    (State.PARKED, State.STARTING): 34,
    (State.STARTING, State.PARKED): 34,
    (State.THROTTLED, State.STARTING): 60,
    (State.STARTING, State.THROTTLED): 60,
    (State.STARTING, State.STOPPING): 70,
    (State.STOPPING, State.STARTING): 70,
    (State.RUNNING, State.RELOADING): 60,
    (State.RELOADING, State.RUNNING): 60,
    (State.RUNNING, State.PARKED): -300,
    (State.THROTTLED, State.PARKED): -30,
    (State.STOPPING, State.PARKED): 30,
}

# Where on an arrow its events stand, from 0 to 1; in the middle where it is not listed.
_LABELS = {
    (State.RUNNING, State.STOPPING): 0.38,
    (State.RELOADING, State.STARTING): 0.3,
}

_SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1010 690" role="img"
  font-family="system-ui, sans-serif" font-size="13" text-anchor="middle">
<title>The states of a vassal</title>
<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7"
  orient="auto-start-reverse"><path d="M0,0 L10,5 L0,10 z" fill="#57606a"/></marker></defs>
<rect width="1010" height="690" rx="12" fill="#fff"/>
{arrows}
{boxes}
<text x="505" y="668" fill="#57606a">From every state, “removed” leads to the end: the app is
stopped, then its socket is removed.</text>
</svg>
"""


def states() -> str:
    """The whole of states.svg."""
    shown = {pair: names for pair, names in _events().items() if State.REMOVED not in pair}
    return _SVG.format(
        arrows="\n".join(starmap(_arrow, shown.items())),
        boxes="\n".join(_box(state) for state in _PLACES),
    )


def _events() -> dict[tuple[State, State], list[str]]:
    """The names of the events, by the states that they lead from and to."""
    events: dict[tuple[State, State], list[str]] = {}
    for state, row in TABLE.items():
        for event, cell in row.items():
            for transition in transitions(cell):
                names = events.setdefault((state, transition.to), [])
                if transition.to is not state and event.value not in names:
                    names.append(event.value)
    return {pair: names for pair, names in events.items() if names}


def _box(state: State) -> str:
    (x, y), (width, height) = _PLACES[state], _BOX
    return (
        f'<rect x="{x - width / 2:.0f}" y="{y - height / 2:.0f}" width="{width}"'
        f' height="{height}" rx="8" fill="#ddf4ff" stroke="#0969da"/>'
        f'<text x="{x}" y="{y + 5}" font-weight="bold">{state.value}</text>'
    )


def _arrow(pair: tuple[State, State], names: list[str]) -> str:
    """A curve between the edges of two boxes, with its events."""
    (ax, ay), (bx, by) = (_PLACES[state] for state in pair)
    length, bend = hypot(bx - ax, by - ay), _BENDS.get(pair, 0)
    mx = (ax + bx) / 2 + bend * (by - ay) / length
    my = (ay + by) / 2 - bend * (bx - ax) / length
    # A quadratic curve passes its middle halfway to the point that pulls it.
    px, py = 2 * mx - (ax + bx) / 2, 2 * my - (ay + by) / 2
    start, end = _at_the_edge((ax, ay), (px, py)), _at_the_edge((bx, by), (px, py))
    curve = f"M{start[0]:.0f},{start[1]:.0f} Q{px:.0f},{py:.0f} {end[0]:.0f},{end[1]:.0f}"
    path = f'<path d="{curve}" fill="none" stroke="#57606a" marker-end="url(#tip)"/>'
    share = _LABELS.get(pair, 0.5)
    rest = 1 - share
    x, y = (
        rest * rest * a + 2 * share * rest * p + share * share * b
        for a, p, b in ((ax, px, bx), (ay, py, by))
    )
    return path + "".join(_label(names, x, y))


def _label(names: list[str], x: float, y: float) -> Iterator[str]:
    top = y - (len(names) - 1) * _LINE / 2 + 4
    for number, name in enumerate(names):
        place = f'x="{x:.0f}" y="{top + number * _LINE:.0f}"'
        yield f'<text {place} stroke="#fff" stroke-width="5" paint-order="stroke">{name}</text>'


def _at_the_edge(middle: tuple[int, int], towards: tuple[float, float]) -> tuple[float, float]:
    """Where the line from the middle of a box to a point leaves the box."""
    dx, dy = towards[0] - middle[0], towards[1] - middle[1]
    width, height = _BOX[0] / 2 + 3, _BOX[1] / 2 + 3
    share = min(width / abs(dx) if dx else 9, height / abs(dy) if dy else 9)
    return middle[0] + dx * share, middle[1] + dy * share
