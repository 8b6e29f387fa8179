"""Writes lifecycle.md from the table of the life of a vassal."""

import re
from collections.abc import Collection

from docs.folding import folded_item
from emperor.model.events import MEANING
from emperor.model.lifecycle import (
    DEPARTURES,
    KEEPS_PENDING,
    MOVING,
    NOT_IN_MAINTENANCE,
    PARDONS,
    PUTS_TO_SLEEP,
    RESTS,
    SERVING,
    STOPS,
    TABLE,
    WAKES,
    ByQueue,
    ByRoom,
    Cell,
    Event,
    Move,
    NoTransition,
    State,
    Transition,
)
from emperor.model.posture import POSTURE

_PAGE = """\
# The life of a vassal

<!-- Written by `make docs` from emperor/model/lifecycle.py; do not edit. -->

Every (state, event) is a transition, ignored (-), or illegal (✗: it is logged, and changes
nothing). The effects of a transition are the difference between two *postures*, so nothing is
listed per row. A vassal has two slots for processes: the **lead**, and a **second**, which is the
successor that boots while `reloading` and otherwise a predecessor that stops.

## Diagram

![The states, and which event leads from one to the other](pictures/states.svg)

## Events

| event | source |
|---|---|
{events}

## Postures

| state | a connection on the listener | door | lead | second | timer |
|---|---|---|---|---|---|
{postures}

A closed door (mode 0000) keeps nginx out while no app accepts; under `activation = socket` it
stands open, and only a barred one is closed. Timers of a process: `start-timeout` while it boots,
`stop-timeout` while it stops; past either, its process group is killed, and only its exit leaves
the state.

A process that boots is killed too if its workers die again and again before one accepts. uWSGI
replaces them without end and reports nothing, so emperord looks at the app's log when it is written
to, at most once a second: a start fails if uWSGI prints "worker respawning too fast", or has
replaced one worker 5 times. uWSGI itself notices a death within a second, and prints that at the
second one, so such a start fails after three seconds. One death of a worker fails no start.
If `logto` or `daemonize` of the ini sends the output elsewhere, only `start-timeout` ends it.

## Rules beside the table

- A pending event is handled as soon as a process has left its slot, that is after {departures}.
  Any other event that is not ignored replaces it, except {keeps_pending}. While one is pending,
  the listener is not watched: the demand is known already.
- Failures in a row count from zero again after {pardons}, and after an app died that had served
  for a while.
- The reason of an event is kept as the last error after `failed`, after `exited` while the app
  serves, and after `second exited` while `reloading`. `accepting` clears it.
- When and why an app stopped last is noted on the way into {stops}, and when an app dies that
  serves ({serving}).
- An app that never sleeps (`always = true`, or `idle = 0`) is started again as soon as it is
  {rests}, and when the daemon starts. After {sleep} (an order, or an eviction) it stays down until
  {wakes}, or the end of a maintenance.
- In maintenance (after `maintenance-on`, until `maintenance-off`) a vassal ignores {not_closed}.
  While no app boots or serves, its door is barred, and in {rests} a connection is refused. On the
  way there, and if maintenance begins there, connections in the queue are answered 503.
- An order of `emperorctl` is carried out when the vassal is at rest: in no state of {moving}, and
  with no event pending.
- A version of the ini is good once it has accepted. If a newer one fails before that (`failed`
  while `starting`, `second-exited` while `reloading`), the good one is in effect again. It boots at
  once where the table says `throttled`. If it fails while `starting` too, the table holds, with the
  newest version in effect and no other kept: so the two never boot by turns. A changed ini, and an
  order of {pardons}, put the newest version into effect (model/fallback.py). Only `start` does not
  while an app boots or serves.

## Transitions

`starting · aside`: the old process becomes the predecessor and stops while its successor
boots. `· swap`: successor and old process change places. `· promote`: the second becomes the lead.
`(then demand)`: that event is pending until a process has left its slot. Where a cell has
three lines, they are for: a free slot, a predecessor that still stops, an app that must not run
twice (`on-change = restart`). `queued:` is what happens instead while the process that should boot
waits for its turn (`max-starting`, `max-running`), its slot empty.

| event | {states} |
|---|{rule}
{rows}
"""


def lifecycle() -> str:
    """The whole of lifecycle.md."""
    names = [state.value for state in State]
    page = _PAGE.format(
        events="\n".join(f"| {event.value} | {MEANING[event]} |" for event in Event),
        postures="\n".join(_posture(state) for state in State),
        states=" | ".join(names),
        rule="---|" * len(names),
        rows="\n".join(_row(event) for event in Event),
        departures=_listed(DEPARTURES),
        keeps_pending=_listed(KEEPS_PENDING),
        pardons=_listed(PARDONS),
        stops=_listed(STOPS),
        serving=_listed(SERVING),
        moving=_listed(MOVING),
        rests=_listed(RESTS),
        not_closed=_listed(NOT_IN_MAINTENANCE),
        sleep=_listed(PUTS_TO_SLEEP),
        wakes=_listed(WAKES),
    )
    # Names of states and events have made some lines too long.
    return re.sub(r"(?m)^- .*(?:\n  .*)*", _folded, page)


def _folded(item: re.Match[str]) -> str:
    return folded_item(" ".join(item[0].split()))


def _listed(members: Collection[Event] | Collection[State]) -> str:
    """`a`, `b`, `c`, in the order in which the code defines them."""
    kind = type(next(iter(members)))
    return ", ".join(f"`{each.value}`" for each in kind if each in members)


def transitions(cell: Cell) -> tuple[Transition, ...]:
    """All transitions of a cell of the table."""
    if isinstance(cell, ByQueue):
        return *transitions(cell.booting), *transitions(cell.queued)
    if isinstance(cell, ByRoom):
        return cell.free, cell.taken, cell.single
    return (cell,) if isinstance(cell, Transition) else ()


def _posture(state: State) -> str:
    posture = POSTURE[state]
    lead = posture.lead.value if posture.lead else "-"
    timer = "throttle" if posture.throttle else "-"
    cells = (state.value, posture.connections.value, posture.door.value, lead, posture.second.value)
    return f"| {' | '.join(cells)} | {timer} |"


def _row(event: Event) -> str:
    return f"| **{event.value}** | {' | '.join(_cell(TABLE[state][event]) for state in State)} |"


def _cell(cell: Cell) -> str:
    if isinstance(cell, NoTransition):
        return "-" if cell is NoTransition.IGNORED else "✗"
    if isinstance(cell, ByQueue):
        return f"{_cell(cell.booting)}<br>queued: {_cell(cell.queued)}"
    texts = [_told(transition) for transition in transitions(cell)]
    return "<br>".join(texts)


def _told(transition: Transition) -> str:
    text = transition.to.value
    if transition.move is not Move.STAY:
        text += f" · {transition.move.value}"
    if transition.owes:
        text += f" (then {transition.owes.value})"
    return text
