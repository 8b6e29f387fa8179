"""Writes what the documentation takes from a source: lifecycle.md, settings.md, from-uwsgi.md,
api.md, metrics.md, causes.md and emperorctl.md from the code, pictures from a template, the code
and what emperorctl has printed, and tables of figures, benchmarks.md and its plots from
docs/figures.json.

`make docs` runs it, and a test fails when a page differs from what it would write. The plots need
matplotlib, which only `make bench` installs.
"""

import re
import sys
import textwrap
from collections.abc import Callable, Collection
from fractions import Fraction
from functools import partial
from importlib.util import find_spec
from operator import ne
from pathlib import Path

import jinja2

from docs import attacks, figures, monitoring_files
from docs.api_page import api
from docs.benchmarks_page import benchmarks
from docs.captures import PICTURES, terminal
from docs.causes_page import causes
from docs.cli_page import commands
from docs.from_uwsgi_page import from_uwsgi
from docs.metrics_page import metrics
from docs.states_picture import states
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
from emperor.model.settings import KEYS, Key
from emperor.model.slots import rebalanced

DOCS = Path(__file__).parent
_COLUMNS = 100

_LIFECYCLE = """\
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

_SETTINGS = """\
# Settings

<!-- Written by `make docs` from emperor/model/settings.py; do not edit. -->

The file is `/etc/uwsgi/emperord.ini`, section `[emperord]`; `--config FILE` names another file.
Each key is also a flag of `emperord` (`--vassals-dir DIR`), and the flag wins. emperord(8) says
more about each key.

A duration is written as `26h`, `1h30m`, `90s` or `500ms`, or as a number of seconds. `idle` is in
whole seconds. Every other duration but `history-max-age` is at most a day.

| key | default | meaning |
|---|---|---|
{rows}

## What a vassal sets for itself

A vassal's ini may have a section `[emperor]`, which uWSGI ignores. These keys override the settings
for this vassal:

| key | meaning |
|---|---|
| idle, start-timeout, stop-timeout | as above |
| activation, on-change, need-app, backlog, repeat | as above |
| bases | as above ([bases.md](bases.md)) |
| byte-compile | as above ([pythons.md](pythons.md#byte-code)) |
| memory-max, memory-high, pids-max, nofile, nice | as above ([limits.md](limits.md)) |
| cpu-weight, cpu-max, io-weight | as above |
| no-new-privs | as above; `false` in an ini of root's alone |
| allow-root | as above, in an ini of root's alone ([security.md](security.md)) |
| uid, gid | user and group of the vassal, set before uWSGI reads the ini |
| python | the name of one of `pythons`, or the version of the default Python |
| python-home | as above, for this vassal |
| uwsgi-binary | a uWSGI program for this vassal, in an ini of root's alone |
| always | `true`: the app runs always, from the start of the daemon on, as with `idle = 0` |
| once | `true`, `soft` or `false`: the app runs on one machine of the fleet ([once.md](once.md)) |
| aliases | further host names of the app, separated by spaces; none that another ini has |

`idle` in `[uwsgi]` is uWSGI's own option: a number of seconds. It wins over `idle` in `[emperor]`.
An ini that says `always = true` and an `idle` other than 0, or `always = false` and `idle = 0`, is
refused. An `idle` in `vassal-defaults` is no contradiction: `always` counts.

An ini may belong to another user than the daemon's. Its vassal then runs as that user. Such an ini
cannot set another `uid` or `gid`, or `aliases`, since its author could take over another site. It
cannot name a `uwsgi-binary`, which `emperorctl check` would run as another user. Its
`start-timeout` and `stop-timeout` can shorten those of the settings but not lengthen them, since a
stop of the daemon waits for every vassal. Its limits can be lower than those of the settings, and a
higher one counts as that of the settings; for `nice`, higher values are lower priorities.

## Defaults for all vassals

`vassal-defaults` names an ini that uWSGI reads before each ini of the folder, for instance:

```ini
[uwsgi]
harakiri = 30
max-requests = 5000
plugins = python3
```

An option of the vassal's ini wins, and options that may stand several times add up. `%n`, `%d` and
the like are those of the file of defaults itself, and relative paths begin in the folder of inis.
A socket has no place there, nor a section `[emperor]`: this file, `emperord.ini`, has the settings
for all vassals. The file belongs to root, and everybody can read it, since uWSGI reads it as the
user of each app.

When the file changes, all inis are read again: apps that run are reloaded as after a change of
their own ini, and apps that sleep start with the new version. A change of a file that it includes
takes effect at the next start of each app. A version that cannot be used is
logged and reloads nothing. Without the file emperord does not start. If the file is removed
later, it counts as empty.

## Which Python an app runs with

An app whose ini names no `home`, `virtualenv`, `venv` or `pyhome` sees what the system's Python
sees, on Debian that of `/usr/bin/python3`: its packages and no package of emperord. `python-home`
names another home or virtualenv for all of these apps, or in `[emperor]` for one. The variables
`PYTHONHOME`, `PYTHONPATH` and `VIRTUAL_ENV` of the daemon do not reach an app. An ini sets its own
by `env = PYTHONPATH=...`. An app that imports `uwsgidecorators` needs it where its other packages
are; Debian has it as `python3-uwsgidecorators`. [pythons.md](pythons.md) has examples.

A virtualenv must be of the Python that its uWSGI was built for. For another Python, build a uWSGI
with it, and list it in `/etc/uwsgi/emperord.ini`:

```
/opt/python3.12/bin/python3 -m venv /opt/uwsgi-3.12
/opt/uwsgi-3.12/bin/pip install uwsgi
```

```ini
[emperord]
pythons = 3.12:/opt/uwsgi-3.12/bin/uwsgi
```

Any ini may then choose it by `python = 3.12` in `[emperor]`. Its apps see the packages of
`/opt/uwsgi-3.12` until they name a virtualenv. A `uwsgi-binary` that is not emperord's own chooses
its Python by itself too.
"""


# Other than the defaults: what an administrator of a new machine would want.
_INSTALLED = {"allow-root": "false"}
_CONFIG = """\
; /etc/uwsgi/emperord.ini: the settings of emperord. Each key with a ; is shown with its default.
; After a change, run `systemctl reload emperord`. emperord(8) says more about each key.
; A duration is written as 26h, 1h30m, 90s or 500ms, or as a number of seconds.

[emperord]
{keys}
"""


def lifecycle() -> str:
    """The whole of lifecycle.md."""
    names = [state.value for state in State]
    page = _LIFECYCLE.format(
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
    text = " ".join(item[0].split())
    return textwrap.fill(text, _COLUMNS, subsequent_indent="  ", break_on_hyphens=False)


def settings() -> str:
    """The whole of settings.md."""
    rows = (f"| {key.name} | {f'`{key.default}`' if key.default else '-'} | {key.help} |"
            for key in KEYS)  # fmt: skip
    return _SETTINGS.format(rows="\n".join(rows))


def config() -> str:
    """The whole of emperord.ini, as it is installed: nearly every key as a comment."""
    keys = (f"\n; {key.help}\n{_line(key)}" for key in KEYS)
    return _CONFIG.format(keys="\n".join(keys))


def _line(key: Key) -> str:
    if key.name in _INSTALLED:
        return f"{key.name} = {_INSTALLED[key.name]}"
    return f";{key.name} = {key.default}".rstrip()


def drawn(name: str, **told: object) -> str:
    """The whole of a picture that has a template, which gets what is `told`; parts.svg.j2 says a
    box and an arrow once."""
    pictures = jinja2.Environment(
        loader=jinja2.FileSystemLoader(DOCS / "pictures"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    return pictures.get_template(f"{name}.svg.j2").render(**told)


def picture_of_slots() -> str:
    """The whole of slots.svg: of 20 slots, by the code that shares out those of a fleet."""
    hashes = range(20)
    four, five = ([each % count + 1 for each in hashes] for count in (4, 5))
    names = [str(each) for each in four]
    after = rebalanced(names, dict.fromkeys(map(str, range(1, 6)), Fraction(1)))
    return drawn(
        "slots", before=four, after=[int(each) for each in after], four=four, five=five,
        moved=lambda one, other: sum(map(ne, one, other)),
    )  # fmt: skip


def picture_of_states() -> str:
    """The whole of states.svg."""
    events: dict[tuple[State, State], list[str]] = {}
    for state, row in TABLE.items():
        for event, cell in row.items():
            for transition in _transitions(cell):
                names = events.setdefault((state, transition.to), [])
                if transition.to is not state and event.value not in names:
                    names.append(event.value)
    return states({pair: names for pair, names in events.items() if names})


def _filled(page: Path) -> str:
    """The whole of a page whose tables of figures stand between comments."""
    return figures.filled(page, figures.read(figures.FIGURES))


# The pages that quote figures.
QUOTING = (
    DOCS.parent / "README.md", DOCS / "fleet.md", DOCS / "reliability.md", DOCS / "scale.md",
    DOCS / "console.md",
)  # fmt: skip
_DRAWN = ("journey", "fleet", "pull")
PAGES: dict[Path, Callable[[], str]] = {
    DOCS / "lifecycle.md": lifecycle,
    DOCS / "settings.md": settings,
    DOCS / "from-uwsgi.md": from_uwsgi,
    DOCS / "api.md": api,
    DOCS / "metrics.md": metrics,
    DOCS / "causes.md": causes,
    DOCS / "emperorctl.md": commands,
    DOCS / "benchmarks.md": benchmarks,
    DOCS / "monitoring" / "emperord.rules.yml": monitoring_files.rules,
    DOCS / "monitoring" / "board.json": monitoring_files.board,
    DOCS / "examples" / "emperord.ini": config,
    **{PICTURES / f"{name}.svg": partial(drawn, name) for name in _DRAWN},
    PICTURES / "slots.svg": picture_of_slots,
    PICTURES / "states.svg": picture_of_states,
    PICTURES / "status.svg": partial(terminal, "status", "emperorctl status"),
    PICTURES / "why.svg": partial(terminal, "why", "emperorctl why shop.example.com"),
    PICTURES / "top.svg": partial(terminal, "top", "emperorctl top"),
    PICTURES / "check.svg": partial(terminal, "check", "emperorctl check draft.example.com.ini"),
    **{page: partial(_filled, page) for page in QUOTING},
    DOCS / "security.md": partial(attacks.filled, DOCS / "security.md"),
}


def _listed(members: Collection[Event] | Collection[State]) -> str:
    """`a`, `b`, `c`, in the order in which the code defines them."""
    kind = type(next(iter(members)))
    return ", ".join(f"`{each.value}`" for each in kind if each in members)


def _transitions(cell: Cell) -> tuple[Transition, ...]:
    if isinstance(cell, ByQueue):
        return *_transitions(cell.booting), *_transitions(cell.queued)
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
    texts = [_told(transition) for transition in _transitions(cell)]
    return "<br>".join(texts)


def _told(transition: Transition) -> str:
    text = transition.to.value
    if transition.move is not Move.STAY:
        text += f" · {transition.move.value}"
    if transition.owes:
        text += f" (then {transition.owes.value})"
    return text


def write_all() -> None:
    """Write all pages, and, with matplotlib, the plots whose figures have changed."""
    for path, page in PAGES.items():
        path.write_text(page(), encoding="utf-8")
    if find_spec("matplotlib") is None:
        print("The plots are as before: matplotlib is not installed.", file=sys.stderr)
        return
    from docs.plots import draw  # noqa: PLC0415

    draw(figures.read(figures.FIGURES))


if __name__ == "__main__":
    write_all()
