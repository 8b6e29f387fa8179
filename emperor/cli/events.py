"""`emperorctl events`: what happens to all vassals, a line each, as it happens."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from emperor.cli.arguments import as_host, complete_domain, since
from emperor.cli.client import Client, connect
from emperor.cli.failure import NoSuchVassal, Unreachable
from emperor.cli.names import nobody, resolve
from emperor.cli.records import parse
from emperor.cli.table import STYLE
from emperor.cli.terminal import show, terminal
from emperor.model.selection import is_pattern, matches, unmatched
from emperor.model.status import Report, TransitionEvent
from emperor.model.text import clock, one_line

# More events than emperord remembers.
_ALL = 1_000_000


@dataclass(frozen=True, slots=True)
class Choice:
    """Which events are printed: the last `past` of emperord's, none from before `since`, and none
    after the past ones if that is to be done `once`. If there are `domains`, only theirs; these are
    domains and shell patterns."""

    past: int
    domains: Collection[str]
    since: datetime | None
    once: bool

    def takes(self, event: TransitionEvent) -> bool:
        """Whether an event that emperord has sent is printed."""
        return self.since is None or event.at >= self.since


def line(event: TransitionEvent) -> Text:
    """One transition, free of control characters."""
    after = (event.after.value, STYLE[event.after]) if event.after else "gone"
    text = Text.assemble(
        (clock(event.at), "dim"),
        f" {one_line(event.name)}: {event.before.value} → ",
        after,
        f", {event.event.value}",
    )
    return text.append(f": {one_line(event.detail)}" if event.detail else "")


def missed(before: int | None, seq: int) -> list[Text]:
    """A line where events are missing between the number before and this one."""
    if before is None or seq == before + 1:
        return []
    return [Text(f"({seq - before - 1} events lost: emperorctl did not keep up)", style="yellow")]


@click.command()
@click.option(
    "-n", "--past", type=click.IntRange(min=0), default=100, show_default=True, metavar="N",
    help="Begin with the last N events; emperord remembers about a hundred.",
)  # fmt: skip
@click.option(
    "--since", metavar="TIME", callback=since,
    help="Only events from TIME on: 10m, which is ten minutes ago, or '2026-03-01 12:00:00'.",
)  # fmt: skip
@click.option(
    "--domain", "domains", metavar="DOMAIN", type=as_host, multiple=True,
    shell_complete=complete_domain,
    help="Only events of DOMAIN, which may be a shell pattern in quotes; may be repeated.",
)  # fmt: skip
@click.option("--once", is_flag=True, help="End after the past events.")
@click.option("--json", "raw", is_flag=True, help="The control API's JSON, one object a line.")
@click.pass_obj
def events(run_dir: Path, /, raw: bool, **options: Any) -> None:
    """Print each change of state of each vassal, until Ctrl-C or the end of emperord.

    An unknown DOMAIN is an error with --once. Without it, emperorctl says so, and waits for its
    ini.

    Older events, and those from before emperord's last start, are in the journal:
    journalctl -u emperord DOMAIN=www.example.com
    """
    asyncio.run(_events(run_dir, Choice(**options), raw))


async def _events(run_dir: Path, choice: Choice, raw: bool) -> None:
    console = terminal()
    async with connect(run_dir) as client:
        words = await resolve(client, choice.domains)
        unknown = nobody(words, parse(Report, await client.status())) if words else {}
        if not choice.once:
            _say_that_it_waits(unknown.values())
        async with aclosing(_received(client, choice, words)) as received:
            seq = None
            async for text, event in received:
                # A vassal that is gone has left events.
                unknown = {each: unknown[each] for each in unmatched(unknown, {event.name})}
                if not choice.takes(event):
                    continue
                if raw:
                    click.echo(text, nl=False)
                    continue
                # Without the events of other domains the numbers have gaps.
                show(console, [*([] if words else missed(seq, event.seq)), line(event)])
                seq = event.seq
    if not choice.once:
        raise Unreachable("emperord has ended, and its events with it")
    if unknown:
        raise ExceptionGroup("not every vassal is there", list(unknown.values()))


def _say_that_it_waits(unknown: Iterable[NoSuchVassal]) -> None:
    for failure in unknown:
        click.echo(f"emperorctl: {one_line(str(failure))}; waiting for its ini", err=True)


async def _received(
    client: Client, choice: Choice, words: Sequence[str]
) -> AsyncGenerator[tuple[bytes, TransitionEvent], None]:
    """The events that emperord remembers and the new ones, as JSON and as a record. emperord
    itself takes no patterns: to match what a tenant writes would cost it time."""
    if not any(map(is_pattern, words)):
        async with aclosing(client.events(choice.past, words, not choice.once)) as texts:
            async for text in texts:
                yield text, parse(TransitionEvent, text)
        return
    past = [
        (text, parse(TransitionEvent, text)) async for text in client.events(_ALL, follows=False)
    ]
    chosen = [each for each in past if _concerns(each[1], words)]
    for each in chosen[max(0, len(chosen) - choice.past) :]:
        yield each
    if choice.once:
        return
    last = past[-1][1].seq if past else 0
    # What has happened meanwhile is among the past events of this request.
    async with aclosing(client.events(_ALL)) as texts:
        async for text in texts:
            event = parse(TransitionEvent, text)
            if event.seq > last and _concerns(event, words):
                yield text, event


def _concerns(event: TransitionEvent, words: Sequence[str]) -> bool:
    return any(matches(word, event.name) for word in words)
