"""docs/benchmarks.md: the comparison of all ways of hosting, from docs/figures.json."""

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from docs.figures import (
    DOCS,
    FIGURES,
    Compared,
    Figures,
    Machine,
    Side,
    read,
    rendered,
    text_of,
)
from docs.folding import folded, folded_item
from docs.limits_part import limits_part

PICTURES = DOCS / "pictures" / "benchmarks"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: the group of rows with that name, and what was done."""

    rows: str
    title: str
    text: str


SECTIONS = (
    Section(
        "peers-cold",
        "Cold start",
        "A visitor asks for an app that does not run. The time is that from the visitor's "
        "connect() to the first byte of the answer, over HTTP and through the web server of each "
        "way. Each way is started anew in each round. Wagtail is the project that `wagtail start` "
        "makes.",
    ),
    Section(
        "peers-herd",
        "Sixty cold apps at once",
        "Sixty visitors ask at the same moment for sixty Flask apps, none of which runs. The times "
        "begin with the first request.",
    ),
    Section(
        "peers-drop",
        "A new site",
        "From the moment at which the file of a new site is in its place until a visitor, who asks "
        "again and again, gets the first answer. For Passenger the file is a virtual host, and "
        "`apachectl graceful` is part of it. A hundred other sites are there.",
    ),
    Section(
        "peers-parked",
        "Thousands of sites that nobody asks for",
        "The time from the start of the host until a visitor could ask for each site. The memory "
        "is the proportional set size (PSS) of all its processes without nginx, which knows of no "
        "site, less what they take without sites, divided by the number of sites.",
    ),
    Section(
        "peers-crash",
        "An app that crashes at import",
        "Forty visitors ask in four seconds. A refusal is quick where the socket of the app is "
        "gone, and then it stays gone when the app is mended: emperord and the Emperor go on by "
        "themselves.",
    ),
    Section(
        "peers-reload",
        "Reload of an app under load",
        "A Flask app gets 50 requests each second and is reloaded: by a touch of its ini, by "
        "SIGHUP to uWSGI and gunicorn, and by `tmp/restart.txt` for Passenger. The slowest answer "
        "is told with the usual time taken off. After its SIGHUP uWSGI does not find the socket "
        "that systemd-socket-activate gave it.",
    ),
    Section(
        "peers-restart",
        "Restart of the host under load",
        "The host itself is replaced, as after an upgrade of its package: SIGHUP to emperord "
        "(`systemctl reload`), a stop and a start of the Emperor, SIGHUP to Apache (`apachectl "
        "restart`). A Flask app of it gets 50 requests each second.",
    ),
    Section(
        "peers-idle",
        "A hit around an idle stop",
        "Thirty sites are stopped after a second without a request. Each is visited twice, the "
        "second time between one and four seconds after the first, so that some visitors come "
        "while their app is being stopped.",
    ),
    Section(
        "peers-memory",
        "Memory of running apps",
        "The proportional set size (PSS) of fifty Django apps after one request to each, with what "
        "supervises them, and without the web server.",
    ),
    Section(
        "peers-warm",
        "Requests to a running app",
        "wrk asks the trivial app for a second, over 1 and over 16 connections. Each connection to "
        "the web server is kept; those to the app are not.",
    ),
)

_HEAD = """\
# Benchmarks

<!-- Written by `make bench` and `make docs` from docs/figures.json; do not edit. -->

`make bench` measures emperord and its peers side by side, in one run, on one machine: in each round
each way of hosting has its turn, and another one begins. It installs what it needs of the peers. A
peer that is missing on a machine is named with the reason. `make bench ROWS=NAME` measures one part
again; the command stands with each part.

{machine}

- A figure is the median of `n` rounds, and the spread is the least and the most of them.
- A ratio is the median of the ratios of each round. It is below 1 where less than the other.
- The best way is **bold**. A floor, in *italics*, hosts nothing: it is what cannot be beaten by a
  way that starts each app by itself.
- Apps are the same files for all, in one virtualenv, with byte code, one process and no threads.
  uWSGI has the same options everywhere.

## The ways

{ways}

## Where emperord is not the best

{behind}
"""

_WAYS = """\
- **emperord**: as it is installed, with the nginx configuration that it ships. Apps run as a user
  of their own. They are forked from a base that has imported the standard library
  ([bases.md](bases.md)); with a **base of the virtualenv** from one that has imported the framework
  too, as when a second app of a virtual environment starts; and **by exec** with `bases = off`.
- **uWSGI's Emperor**: with `emperor-on-demand-directory` and `listen = 4096`, behind nginx.
- **systemd-socket-activate, uWSGI** and **gunicorn**: one process for each app that waits for the
  first connection and becomes the server, behind nginx. gunicorn has one synchronous worker.
- **Passenger**: from the release's packages, in Apache, a virtual host for each app. Its limit of
  processes and its queue are raised.
- *bare exec of uWSGI*: emperord's own command line, run at the request, behind nginx.
- *python -c "import app"*: the import alone, without a server and without a request."""


_DETAIL = """\
## More of emperord and the Emperor

`make bench` without ROWS measures these too, with uWSGI's own protocol where the web server plays
no part.

"""


def benchmarks() -> str:
    """The whole page."""
    return page(read(FIGURES))


def page(figures: Figures) -> str:
    """The page of these figures."""
    parts = [
        _HEAD.format(
            machine=folded(_machine(figures)),
            ways=_WAYS,
            behind="\n".join(_behind(figures.compared)),
        )
    ]
    for section in SECTIONS:
        rows = rows_of(section, figures)
        if rows:
            parts.append("\n".join(_section(section, rows)))
    if limits := limits_part(figures.measured):
        parts.append(limits)
    parts.append(_DETAIL + rendered("emperor", figures))
    return "\n".join(parts)


def rows_of(section: Section, figures: Figures) -> dict[str, Compared]:
    """The measured rows of a part."""
    return {what: row for what, row in figures.compared.items() if row.rows == section.rows}


def picture(section: Section) -> Path:
    """Where the plot of a part is."""
    return PICTURES / f"{section.rows}.svg"


def digest(rows: Mapping[str, Compared]) -> str:
    """What a plot notes of its figures, by which a test knows that it is of these figures."""
    return hashlib.sha256(msgspec.json.encode(rows)).hexdigest()


def is_ours(name: str) -> bool:
    """Whether a side of a row is emperord, by one of its ways to start an app."""
    return name.startswith("emperord")


def best(row: Compared) -> set[str]:
    """The names of the best sides, without the floors."""
    medians = {
        name: side.median
        for name, side in row.sides.items()
        if side.median is not None and not side.is_floor
    }
    if not medians:
        return set()
    goal = max(medians.values()) if row.more_is_better else min(medians.values())
    return {name for name, value in medians.items() if value == goal}


def _machine(figures: Figures) -> str:
    machine: Machine = figures.machine
    dates = sorted({row.date for row in figures.compared.values()}) or ["no day"]
    when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    versions = {
        "uWSGI": machine.uwsgi, "nginx": machine.nginx, "Python": machine.python,
    } | figures.versions  # fmt: skip
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"Measured on {when} on {machine.cores} shared virtual cores with Linux "
        f"{machine.kernel}: {listed}."
    )


def _behind(compared: Mapping[str, Compared]) -> Iterator[str]:
    """The rows in which a peer is better than each way of emperord's."""
    order = [section.rows for section in SECTIONS]
    none = True
    for what, row in sorted(compared.items(), key=lambda each: order.index(each[1].rows)):
        first = best(row)
        ours = {name: side for name, side in row.sides.items() if is_ours(name)}
        if not first or any(is_ours(name) for name in first) or not ours:
            continue
        none = False
        name = min(first)
        best_side = row.sides[name]
        theirs = _figure(best_side.median, row.unit)
        mine = " or ".join(_figure(side.median, row.unit) for side in ours.values())
        close = any(_overlap(side, best_side) for side in ours.values())
        remark = "; the spreads overlap" if close else ""
        yield folded_item(f"- {what}: {name} {theirs}, emperord {mine}{remark}")
    if none:
        yield "In none of the rows below."


def _overlap(one: Side, other: Side) -> bool:
    ends = (one.least, one.most, other.least, other.most)
    least, most, others_least, others_most = (math.nan if end is None else end for end in ends)
    return least <= others_most and others_least <= most


def _section(section: Section, rows: Mapping[str, Compared]) -> Iterator[str]:
    yield f"## {section.title}\n"
    yield f"`make bench ROWS={section.rows}`\n"
    yield folded(section.text) + "\n"
    yield f"![{section.title}]({picture(section).relative_to(DOCS)})\n"
    for what, row in rows.items():
        yield from _table(what, row)


def _table(what: str, row: Compared) -> Iterator[str]:
    yield f"### {what}\n"
    has_ratio = any(side.ratio is not None for side in row.sides.values())
    ratio = f" to {row.to} |" if has_ratio else ""
    yield f"| | median | spread | n |{ratio}"
    yield f"|---|---|---|---|{'---|' if has_ratio else ''}"
    winners = best(row)
    for name, side in row.sides.items():
        if side.median is not None:
            shown = f"*{name}*" if side.is_floor else f"**{name}**" if name in winners else name
            yield _line(shown, side, row, has_ratio)
    yield ""
    remarks = [(name, side.note) for name, side in row.sides.items() if side.note]
    for name, note in remarks:
        yield folded_item(f"- {name}: {note}")
    if remarks:
        yield ""


def _line(name: str, side: Side, row: Compared, has_ratio: bool) -> str:
    least, most = _figure(side.least, ""), _figure(side.most, row.unit)
    cells = [name, _figure(side.median, row.unit), f"{least} to {most}", str(side.n)]
    if has_ratio:
        cells.append("" if side.ratio is None else f"{side.ratio:.2f}")
    return f"| {' | '.join(cells)} |"


def _figure(value: float | None, unit: str) -> str:
    return "-" if value is None else text_of(value, unit)
