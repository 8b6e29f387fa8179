"""What `emperorctl top` shows, and what a key changes: pure functions of a sample, a view and the
size of the terminal."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum

from rich.cells import set_cell_size
from rich.text import Text

from emperor.cli.table import STYLE
from emperor.cli.terminal import wrapped
from emperor.model import text
from emperor.model.activity import Active, Activity, total_of
from emperor.model.authority import Operation
from emperor.model.status import ReportedState

KEYS = "q quit  ↑↓ select  o order  / filter  t tenants  a start  z sleep  r restart"


class SortKey(Enum):
    """What the rows are sorted by: the heading of the column."""

    STATE = "STATE"
    CPU = "CPU%"
    MEMORY = "MEM"
    WAITING = "WAIT"
    WAKES = "WAKES"
    NAME = "NAME"


_ORDERS = {"a": Operation.START, "z": Operation.SLEEP, "r": Operation.RESTART}


@dataclass(frozen=True, slots=True)
class Sample:
    """What is known at `now`. `cpu` is in percent of one core since the sample before; `memory` is
    the PSS in bytes, and `wakes` those of today, as far as they were asked for."""

    activity: Activity
    now: datetime
    cpu: Mapping[str, float] = field(default_factory=dict)
    memory: Mapping[str, int] = field(default_factory=dict)
    wakes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class View:
    """How somebody looks at it. `typing`: keys go into the filter. `asked`: an order that needs a
    yes first."""

    sort_key: SortKey = SortKey.STATE
    needle: str = ""
    typing: bool = False
    by_tenant: bool = False
    selected: str | None = None
    asked: Operation | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """What a key asks of the program: to end, or to give the daemon an order."""

    quits: bool = False
    order: Operation | None = None
    name: str = ""


def press(view: View, key: str, names: Sequence[str], page: int) -> tuple[View, Command | None]:
    """The view after a key, and what is to be done. `names` are those of the rows, in their order,
    of which `page` fit on the screen."""
    if view.asked:
        is_yes = key in ("y", "Y") and view.selected is not None
        command = Command(order=view.asked, name=view.selected or "") if is_yes else None
        return replace(view, asked=None, message="" if is_yes else "nothing was done"), command
    if view.typing:
        return _typed(view, key), None
    if key == "q":
        return view, Command(quits=True)
    view = replace(view, message="")
    if key in _MOVES and names:
        here = names.index(view.selected) if view.selected in names else 0
        there = min(max(here + _MOVES[key](page, len(names)), 0), len(names) - 1)
        return replace(view, selected=names[there]), None
    if key in _ORDERS and not view.by_tenant:
        chosen = view.selected if view.selected in names else next(iter(names), None)
        return replace(view, asked=_ORDERS[key] if chosen else None, selected=chosen), None
    return _toggled(view, key), None


_MOVES: Mapping[str, Callable[[int, int], int]] = {
    "up": lambda _page, _all: -1,
    "k": lambda _page, _all: -1,
    "down": lambda _page, _all: 1,
    "j": lambda _page, _all: 1,
    "pageup": lambda page, _all: -page,
    "pagedown": lambda page, _all: page,
    "home": lambda _page, total: -total,
    "end": lambda _page, total: total,
}


def _typed(view: View, key: str) -> View:
    if key == "enter":
        return replace(view, typing=False)
    if key == "escape":
        return replace(view, typing=False, needle="")
    if key == "backspace":
        return replace(view, needle=view.needle[:-1])
    is_text = len(key) == 1 and key.isprintable()
    return replace(view, needle=(view.needle + key.lower())[:100]) if is_text else view


def _toggled(view: View, key: str) -> View:
    sort_keys = list(SortKey)
    match key:
        case "o":
            following = sort_keys[(sort_keys.index(view.sort_key) + 1) % len(sort_keys)]
            return replace(view, sort_key=following)
        case "/":
            return replace(view, typing=True)
        case "t":
            return replace(view, by_tenant=not view.by_tenant)
        case "escape":
            return replace(view, needle="")
    return view


def rows_of(sample: Sample, view: View) -> list[Active]:
    """The vassals in the order of the view."""
    found = [
        each
        for each in sample.activity.vassals
        if view.needle in each.status.name or view.needle in each.reason.lower()
    ]
    ranks = {state: rank for rank, state in enumerate(STYLE)}

    def key(each: Active) -> tuple[float, int, str]:
        name = each.status.name
        # What needs a person comes first.
        state = -1 if each.status.last_error else ranks[each.status.state]
        value = {
            SortKey.CPU: sample.cpu.get(name, 0.0),
            SortKey.MEMORY: memory_of(sample, each) or 0,
            SortKey.WAITING: waiting(each),
            SortKey.WAKES: sample.wakes.get(name, 0),
        }.get(view.sort_key, 0)
        return -value, 0 if view.sort_key is SortKey.NAME else state, name

    return sorted(found, key=key)


def memory_of(sample: Sample, each: Active) -> int | None:
    """The PSS of a vassal if that was measured, or else its resident memory."""
    return sample.memory.get(each.status.name, each.status.rss_bytes)


def waiting(each: Active) -> int:
    """Requests and connections that wait for it."""
    return each.status.held + (each.status.queued or 0)


# On a screen of fewer lines, rows count for more than the whole reason of one.
_TALL = 16
_REASON_LINES = 3


def room(height: int) -> int:
    """How many rows fit."""
    return max(1, height - 4 - (_REASON_LINES if height >= _TALL else 0))


def screen(
    sample: Sample, view: View, size: tuple[int, int], user: Callable[[int | None], str]
) -> list[Text]:
    """The lines of a terminal of that width and height. `user` tells the name of a user."""
    width, height = size
    lines = [_headline(sample), _second(sample, view)]
    if view.by_tenant:
        lines += _tenants(sample, user)
    else:
        lines += _vassals(sample, view, width, room(height))
    below = [_foot(view)]
    if height >= _TALL and not view.by_tenant:
        below[:0] = _reason(sample, view, width)
    lines = lines[: height - len(below)]
    lines += [Text()] * (height - len(below) - len(lines))
    lines += below
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def _reason(sample: Sample, view: View, width: int) -> list[Text]:
    """The whole reason of the selected vassal, or of the first one if that has an error."""
    rows = rows_of(sample, view)
    chosen = [each for each in rows if each.status.name == view.selected]
    chosen = chosen or [each for each in rows[:1] if each.status.last_error]
    if not chosen:
        return []
    line = Text(text.plain(chosen[0].status.name), style="bold")
    lines = wrapped(line.append(f": {text.one_line(chosen[0].reason)}", style="not bold"), width)
    if len(lines) > _REASON_LINES:
        lines[_REASON_LINES - 1].append("…")
    return lines[:_REASON_LINES]


def report(sample: Sample, width: int) -> list[Text]:
    """All of it once, for a pipe."""
    rows = _vassals(sample, View(), width, len(sample.activity.vassals))
    lines = [_headline(sample), Text(), *rows]
    if left := sample.activity.left_out:
        lines.append(Text(f"… and {left} more"))
    return lines


def _headline(sample: Sample) -> Text:
    emperor = sample.activity.emperor
    total = total_of(sample.activity.tenants)
    closed = total.pop("maintenance")
    parts = [f"{number} {state}" for state, number in total.items() if number]
    if closed:
        parts.append(f"{closed} in maintenance")
    line = Text(
        f"emperord {text.plain(emperor.version)},"
        f" up {text.since(emperor.started_at, sample.now)}: {', '.join(parts) or 'no vassals'}"
    )
    if failed := sum(each.status.last_error is not None for each in sample.activity.vassals):
        line.append("; ").append(f"{failed} failed", style="bold red")
    if emperor.held:
        line.append(f", {emperor.held} held", style="yellow")
    if emperor.draining_since:
        line.append(", draining", style="bold yellow")
    return line


def _second(sample: Sample, view: View) -> Text:
    if view.typing or view.needle:
        cursor = "_" if view.typing else ""
        return Text(f"filter: {text.plain(view.needle)}{cursor}", style="yellow")
    left = sample.activity.left_out
    hidden = f"; {left} more, filter to see them" if left else ""
    return Text(f"{len(sample.activity.vassals)} that do something{hidden}", style="dim")


_WIDTHS = (("STATE", 12), ("FOR", 5), ("WAIT", 5), ("CPU%", 5), ("MEM", 5), ("WAKES", 5))


def _vassals(sample: Sample, view: View, width: int, most: int) -> list[Text]:
    found = rows_of(sample, view)
    names = [each.status.name for each in found]
    at = names.index(view.selected) if view.selected in names else 0
    first = max(0, min(at - most // 2, len(found) - most))
    name_width = max(12, min(max(map(len, names), default=4), (width - 45) * 2 // 3))
    lines = [_head(view, name_width)]
    for each in found[first : first + most]:
        line = _row(sample, each, name_width)
        if each.status.name == view.selected:
            line.stylize("reverse")
        lines.append(line)
    return lines


def _head(view: View, name_width: int) -> Text:
    cells = [("NAME", name_width), *_WIDTHS]
    marked = view.sort_key.value
    shown = [
        (f"{name}↓" if name == marked else name).ljust(width)
        if name in ("NAME", "STATE")
        else (f"{name}↓" if name == marked else name).rjust(width)
        for name, width in cells
    ]
    return Text(" ".join([*shown, "REASON"]), style="bold")


def _row(sample: Sample, each: Active, name_width: int) -> Text:
    status = each.status
    position = f" #{status.boot_position}" if status.boot_position else ""
    state = f"{status.state.value}{position}"
    waits, cpu = waiting(each), sample.cpu.get(status.name)
    wakes = sample.wakes.get(status.name)
    numbers = (
        text.since(status.state_since, sample.now),
        str(waits) if waits else text.NOTHING,
        text.NOTHING if cpu is None else f"{cpu:.1f}",
        text.memory(memory_of(sample, each)),
        text.NOTHING if wakes is None else str(wakes),
    )
    name = set_cell_size(text.middle(text.plain(status.name), name_width), name_width)
    cells = [state.ljust(12), *(number.rjust(5) for number in numbers)]
    told = " ".join([name, *cells])
    line = Text(f"{told} {text.one_line(each.reason)}")
    line.stylize(STYLE[status.state], name_width + 1, name_width + 1 + len(state))
    if status.last_error:
        line.stylize("red", len(told) + 1)
    if waits:
        line.stylize("yellow", name_width + 20, name_width + 25)
    return line


def _tenants(sample: Sample, user: Callable[[int | None], str]) -> list[Text]:
    lines = [Text(f"{'TENANT':16}   CPU%   MEM  AWAKE STARTING  FAIL ASLEEP", style="bold")]
    used: dict[int | None, tuple[float, int]] = {}
    for each in sample.activity.vassals:
        cpu, memory = used.get(each.status.uid, (0.0, 0))
        cpu += sample.cpu.get(each.status.name, 0.0)
        used[each.status.uid] = cpu, memory + (memory_of(sample, each) or 0)
    nothing = (0.0, 0)
    for counts in sorted(sample.activity.tenants, key=lambda each: -used.get(each.uid, nothing)[0]):
        cpu, memory = used.get(counts.uid, nothing)
        name = set_cell_size(text.middle(text.plain(user(counts.uid)), 16), 16)
        line = Text(
            f"{name} {cpu:6.1f} {text.memory(memory or None):>5} {counts.running:6}"
            f" {counts.starting:8} {counts.throttled:5} {counts.parked:6}"
        )
        if counts.throttled:
            line.stylize(STYLE[ReportedState.THROTTLED], 39, 44)
        lines.append(line)
    return lines


def _foot(view: View) -> Text:
    if view.asked:
        return Text(f"{view.asked.value} {text.plain(view.selected or '')}? (y/n)", style="bold")
    if view.message:
        return Text(text.one_line(view.message), style="bold")
    return Text("Enter: keep, Esc: clear" if view.typing else KEYS, style="dim")


# What terminals send, by xterm's and the Linux console's customs.
_SEQUENCES = {
    "\x1b[A": "up", "\x1bOA": "up", "\x1b[B": "down", "\x1bOB": "down",
    "\x1b[5~": "pageup", "\x1b[6~": "pagedown",
    "\x1b[H": "home", "\x1b[1~": "home", "\x1bOH": "home",
    "\x1b[F": "end", "\x1b[4~": "end", "\x1bOF": "end",
    "\r": "enter", "\n": "enter", "\x7f": "backspace", "\x08": "backspace",
}  # fmt: skip


def keys_of(typed: str) -> list[str]:
    """The keys in what a terminal has sent at once. A sequence that is not known is no key."""
    keys: list[str] = []
    while typed:
        known = next((s for s in _SEQUENCES if typed.startswith(s)), "")
        if known:
            keys.append(_SEQUENCES[known])
            typed = typed[len(known) :]
        elif typed.startswith(("\x1b[", "\x1bO")):
            end = next((at for at, c in enumerate(typed) if at > 1 and "@" <= c <= "~"), len(typed))
            typed = typed[end + 1 :]
        else:
            keys.append("escape" if typed[0] == "\x1b" else typed[0])
            typed = typed[1:]
    return keys
