"""`emperorctl status`: every vassal in a row, and below the table what needs an administrator.

`page` is pure. The command asks the daemon, prints the page, and with --watch does so again.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.live import Live
from rich.text import Text

from emperor.cli.arguments import domains_argument
from emperor.cli.client import connect
from emperor.cli.names import nobody, resolve
from emperor.cli.records import parse
from emperor.cli.table import STYLE, rows, table
from emperor.cli.terminal import edge, show, terminal, wrapped
from emperor.model import text
from emperor.model.registry_status import NotFollowed
from emperor.model.selection import matches
from emperor.model.status import Report, ReportedState, VassalStatus, as_json
from emperor.model.vassal_text import next_start

REFRESH_SECONDS = 1.0

HINT = """\
There is no vassal yet. Drop an ini, named after its domain, into the folder of vassals
(/etc/uwsgi/vassals, unless set otherwise), and it is served from then on:

    mv www.example.com.ini /etc/uwsgi/vassals/

Root and the members of group emperor see all vassals. Every other user sees its own.
"""

FLEET_HINT = """\
There is no vassal yet. This backend fetches the ini of a domain from the registry when somebody
asks for the domain. Put the ini there, on a machine that may:

    emperorctl registry put www.example.com www.example.com.ini --owner USER

Root and the members of group emperor see all vassals. Every other user sees its own.
"""

NOTHING_FAILED = "No vassal has failed, and every ini is served."


def headline(report: Report, now: datetime) -> Text:
    """The daemon in a line, how many vassals are in which state, and how many need an
    administrator."""
    emperor = report.emperor
    counts = Counter(each.state for each in report.vassals if each.maintenance_since is None)
    parts = [f"{counts[state]} {state.value}" for state in STYLE if counts[state]]
    if closed := len(report.vassals) - counts.total():
        parts.append(f"{closed} in maintenance")
    pulled = f", {emperor.registry.pulled} of the registry" if emperor.registry else ""
    held = f", {emperor.held} held" if emperor.held else ""
    away = f", {emperor.turned_away} turned away" if emperor.turned_away else ""
    line = Text(
        f"emperord {text.plain(emperor.version)}, pid {emperor.pid},"
        f" up {text.since(emperor.started_at, now)}: {', '.join(parts) or 'no vassals'}"
        f"{pulled}{held}{away}"
    )
    bad = failed(report)
    for count, what in ((len(bad.vassals), "failed"), (len(bad.refused), "not served")):
        if count:
            line.append("; ").append(f"{count} {what}", style="bold red")
    return line


def drained(report: Report, now: datetime) -> list[Text]:
    """A line while load balancers are sent elsewhere, so that nobody forgets it."""
    since = report.emperor.draining_since
    if since is None:
        return []
    return [
        Text.assemble(
            ("draining", "bold yellow"),
            f" for {text.since(since, now)}: load balancers are sent elsewhere until"
            " emperorctl undrain",
        )
    ]


def yielding(report: Report) -> list[Text]:
    """A line while apps of users yield the CPU."""
    users = report.emperor.yielding
    if not users:
        return []
    names = ", ".join(map(text.plain, users))
    return [
        Text.assemble(
            (f"{names} yield{'s' * (len(users) == 1)} the CPU", "bold yellow"),
            " to others, while the apps take all that they can get",
        )
    ]


def unreached(report: Report, now: datetime) -> list[Text]:
    """A line while the registry of the fleet does not answer."""
    status = report.emperor.registry
    if status is None or status.unreached_since is None:
        return []
    return [
        Text.assemble(
            ("the registry is not reached", "bold yellow"),
            f" for {text.since(status.unreached_since, now)}: {status.pulled} inis that came from"
            f" it are served on; {text.one_line(status.why or '')}",
        )
    ]


def unregistered(report: Report) -> list[Text]:
    """A line while the fleet's registry answers, and this machine is not registered there."""
    emperor = report.emperor
    is_away = emperor.registry is not None and emperor.registry.unreached_since is not None
    if emperor.membership is None or emperor.membership.why is None or is_away:
        return []
    return [
        Text.assemble(
            ("not confirmed as a backend of the fleet", "bold yellow"),
            f": {text.one_line(emperor.membership.why)}",
        )
    ]


def changed_file(report: Report) -> list[Text]:
    """A line while the file that says how to reach the registry is another than the one in use."""
    registry = report.emperor.registry
    if registry is None or registry.changed_file is None:
        return []
    return [Text(text.one_line(registry.changed_file), "bold yellow")]


def _not_followed(report: Report) -> Sequence[NotFollowed]:
    """The domains that are not as the registry of the fleet has them."""
    return report.emperor.registry.examples if report.emperor.registry else ()


def _elsewhere(report: Report) -> Sequence[VassalStatus]:
    """The vassals that must not run twice in the fleet, and may not run on this machine."""
    return [each for each in report.vassals if each.runs_elsewhere]


def failed(report: Report) -> Report:
    """The part of the report that needs an administrator: vassals with an error, and inis that are
    not served."""
    return replace(
        report, vassals=tuple(each for each in report.vassals if each.last_error is not None)
    )


def troubles(report: Report, now: datetime) -> Iterator[Text]:
    """A line for each vassal with an error, for each ini that is not served or not as the registry
    has it, and for each app that may not run here."""
    for vassal in failed(report).vassals:
        yield Text.assemble(
            (text.plain(vassal.name), "bold"),
            f" ({again.told(now)})" if (again := next_start(vassal)) else "",
            f": {text.one_line(vassal.last_error or '')}",
        )
    for domain in _not_followed(report):
        yield Text.assemble((text.plain(domain.domain), "bold"), f": {text.one_line(domain.why)}")
    for ini in report.refused:
        yield Text.assemble(
            ("not served", "bold"), f": {text.one_line(text.naming(ini.file, ini.error))}"
        )
    for vassal in _elsewhere(report):
        yield Text.assemble(
            (text.plain(vassal.name), "bold"),
            f": it may not run here: {text.one_line(vassal.runs_elsewhere or '')}",
        )


@dataclass(frozen=True, slots=True)
class Room:
    """What the page may take: at most `height` lines of at most `width` cells. `has_peak`: the
    table has the most memory of each, too."""

    width: int
    height: int = sys.maxsize
    has_peak: bool = False


def page(report: Report, now: datetime, room: Room, shown: Report | None = None) -> list[Text]:
    """All that `emperorctl status` prints. `shown` is the part of the report that the table has, if
    not all. An error has as many lines as it needs: its cure is at its end."""
    width, height = room.width, room.height
    lines = wrapped(headline(report, now), width)
    lines += [*drained(report, now), *unreached(report, now)]
    lines += [*unregistered(report), *changed_file(report), *yielding(report), Text()]
    if not report.vassals and not report.refused and not _not_followed(report):
        hint = FLEET_HINT if report.emperor.registry else HINT
        return [*lines, *map(Text, hint.splitlines())]
    shown = report if shown is None else shown
    wrong = _bounded_troubles(shown, now, width, height // 3)
    most = max(2, height - len(lines) - len(wrong) - bool(wrong))
    if shown.vassals:
        # Beyond what fits, rows need not be made: there may be 10,000 of them, each second.
        first = rows(replace(shown, vassals=shown.vassals[:most]), now)
        fitting = table(first, width, has_peak=room.has_peak)
        lines += _bounded(fitting, most, hidden=len(shown.vassals) + 1 - len(fitting))
    elif not wrong:
        lines.append(Text(NOTHING_FAILED))
    if wrong:
        lines += [Text(), *wrong] if shown.vassals else wrong
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def _bounded_troubles(report: Report, now: datetime, width: int, limit: int) -> list[Text]:
    """The troubles in at most `limit` lines, the first ones whole where that is possible."""
    left = len(failed(report).vassals) + len(report.refused) + len(_elsewhere(report))
    left += report.emperor.registry.not_followed if report.emperor.registry else 0
    lines: list[Text] = []
    for trouble in troubles(report, now):
        entry = wrapped(trouble, width)
        # A further line tells how many more there are.
        if len(lines) + len(entry) + (left > 1) > limit:
            break
        lines += entry
        left -= 1
    if left and not lines:
        lines = [next(troubles(report, now))][: max(0, limit - 1)]
        left -= bool(lines)
    return [*lines, Text(f"… and {left} more", style="dim")] if left else lines


def _bounded(lines: list[Text], limit: int, hidden: int = 0) -> list[Text]:
    if len(lines) + bool(hidden) <= limit:
        return lines
    kept = lines[: max(0, limit - 1)]
    return [*kept, Text(f"… and {len(lines) - len(kept) + hidden} more", style="dim")]


def awake_first(report: Report) -> Report:
    """The report, with the vassals that need watching on top. One that has failed keeps its place
    when its delay has passed."""
    order = {state: place for place, state in enumerate(STYLE)}

    def key(vassal: VassalStatus) -> tuple[int, str]:
        is_parked = vassal.state is ReportedState.PARKED
        has_failed = is_parked and vassal.consecutive_failures > 0
        return order[ReportedState.THROTTLED if has_failed else vassal.state], vassal.name

    ordered = sorted(report.vassals, key=key)
    return replace(report, vassals=tuple(ordered))


def only(report: Report, words: Sequence[str]) -> Report:
    """The part of the report about the domains and patterns `words`; all of it if there are
    none."""
    if not words:
        return report

    def is_meant(name: str) -> bool:
        return any(matches(word, name) for word in words)

    registry = report.emperor.registry
    if registry is not None:
        examples = tuple(each for each in registry.examples if is_meant(each.domain))
        registry = replace(registry, examples=examples, not_followed=len(examples))
    return replace(
        report,
        emperor=replace(report.emperor, registry=registry),
        vassals=tuple(vassal for vassal in report.vassals if is_meant(vassal.name)),
        refused=tuple(ini for ini in report.refused if is_meant(ini.domain)),
    )


@click.command()
@domains_argument(required=False)
@click.option(
    "--failed", "is_failed", is_flag=True,
    help="Only vassals with an error, and inis that are not served.",
)  # fmt: skip
@click.option("--json", "raw", is_flag=True, help="The control API's JSON, with nothing cut short.")
@click.option("--watch", is_flag=True, help="Refresh each second; sleeping vassals stand last.")
@click.pass_obj
def status(
    run_dir: Path, domains: tuple[str, ...], is_failed: bool, raw: bool, watch: bool
) -> None:
    """Show what every vassal does, or each DOMAIN alone, which may be a shell pattern in quotes.

    \b
    STATE   what it does; starting #3: the third in the queue of starts;
            parked (maintenance): visitors get 503
    FOR     time since it got into this state
    HIT     time since it was last used
    REAP    time until it is put to sleep if nobody uses it
    STARTS  processes started for it
    FAILS   starts that failed in a row
    MEM     resident memory of its processes
    PEAK    the most memory since its process started, as memory-max counts it:
            with cached files, without what its base shares; only with DOMAIN
    CPU     CPU time of its processes
    WAIT    requests held by emperord + connections queued on its socket

    Below the table: the last error of a vassal, every ini that is not served, and why an app that
    runs once in the fleet may not run here. A terminal that is too narrow gets fewer columns.
    """
    if not watch:
        asyncio.run(_print(run_dir, domains, is_failed, raw))
    elif raw or not terminal().is_terminal:
        raise click.UsageError("--watch needs a terminal, and no --json")
    else:
        asyncio.run(_watch(run_dir, domains, is_failed))


async def _print(run_dir: Path, domains: tuple[str, ...], is_failed: bool, raw: bool) -> None:
    async with connect(run_dir) as client:
        domains = await resolve(client, domains)
        answer = await client.status()
    found = only(parse(Report, answer), domains)
    shown = failed(found) if is_failed else found
    if raw:
        click.echo(json.dumps(as_json(shown)) if domains or is_failed else answer)
    elif found.vassals or found.refused or not domains:
        console = terminal()
        room = Room(edge(console), has_peak=bool(domains))
        show(console, page(found, datetime.now(UTC), room, shown))
    _insist(found, domains)


def _insist(found: Report, domains: tuple[str, ...]) -> None:
    if missing := nobody(domains, found):
        raise ExceptionGroup("not every vassal is there", list(missing.values()))


async def _watch(run_dir: Path, domains: tuple[str, ...], is_failed: bool) -> None:
    console = terminal()
    async with connect(run_dir) as client:
        domains = await resolve(client, domains)
        found = only(parse(Report, await client.status()), domains)
        _insist(found, domains)
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                now = datetime.now(UTC)
                ordered = awake_first(found)
                shown = failed(ordered) if is_failed else ordered
                room = Room(console.width, console.height, has_peak=bool(domains))
                lines = page(ordered, now, room, shown)
                live.update(Text("\n").join(lines), refresh=True)
                await asyncio.sleep(REFRESH_SECONDS)
                found = only(parse(Report, await client.status()), domains)
