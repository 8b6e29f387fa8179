"""`emperorctl top`: what the vassals do now, and keys to look closer and to act.

cli/top_view.py decides what is shown. This module asks the daemon, reads the keys, and leaves the
terminal as it was.
"""

import asyncio
import os
import pwd
import signal
import sys
import termios
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from emperor.cli.client import Client, connect
from emperor.cli.failure import Failed
from emperor.cli.terminal import show, terminal
from emperor.cli.top_view import (
    Command,
    Sample,
    View,
    keys_of,
    press,
    report,
    room,
    rows_of,
    screen,
)
from emperor.model.activity import MOST_MEASURED, Activity

REFRESH_SECONDS = 2.0
# PSS and the wakes of a day cost the daemon more than the rest.
MEASURE_EVERY = 5
# Two moments that far apart tell how much CPU is used.
_ONCE_SECONDS = 0.5
_ROWS = 200


@click.command()
@click.option("--once", is_flag=True, help="Print the table once; without a terminal always so.")
@click.pass_obj
def top(run_dir: Path, once: bool) -> None:
    """Show what the vassals do now: those that run, start, stop, wait or have failed.

    \b
    FOR     time since it got into this state
    WAIT    requests held by emperord + connections queued on its socket
    CPU%    of one core, since the line before
    MEM     memory (PSS, or RSS until that is measured)
    WAKES   starts for a visitor since midnight
    REASON  its error, who woke it, or why it stopped

    Below the rows of a screen with 16 lines or more stands the whole reason of the selected vassal,
    or of the first one, if that has an error.

    Keys: arrows select; o changes the order; / filters by name or error, and finds sleeping vassals
    too; t shows tenants; a starts, z puts to sleep, and r restarts the selected vassal, after a y;
    q or Ctrl-C ends.
    """
    console = terminal()
    if once or not console.is_terminal:
        asyncio.run(_once(run_dir, console))
    elif not sys.stdin.isatty() or console.is_dumb_terminal:
        raise click.UsageError("cannot read keys or draw here: it needs a terminal, or --once")
    else:
        watched = _Screen(console)
        with _raw_keys(sys.stdin.fileno()):
            asyncio.run(watched.run(run_dir))
        if watched.is_interrupted:
            raise click.Abort


async def _once(run_dir: Path, console: Console) -> None:
    async with connect(run_dir) as client:
        meter = _Meter(client)
        await meter.take("", ())
        await asyncio.sleep(_ONCE_SECONDS)
        sample = await meter.take("", None)
    width = console.width if console.is_terminal else 200
    show(console, report(sample, width))


class _Meter:
    """Takes samples. CPU is what was used between two of them."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._before: dict[str, tuple[float, float]] = {}
        self._memory: dict[str, int] = {}
        self._wakes: dict[str, int] = {}

    async def take(self, match: str, measured: tuple[str, ...] | None) -> Sample:
        """A sample; PSS and wakes of `measured` anew, None: of the first rows."""
        if measured is None:
            activity = await self._client.activity(match, _ROWS, ())
            measured = tuple(each.status.name for each in activity.vassals)[:MOST_MEASURED]
        activity = await self._client.activity(match, _ROWS, measured)
        if measured:
            midnight = datetime.now().astimezone().replace(hour=0, minute=0, second=0)
            stats = await self._client.stats(midnight, measured)
            self._wakes |= dict.fromkeys(measured, 0)
            self._wakes |= {each.name: each.wakes for each in stats.vassals}
            self._memory |= {
                each.status.name: each.pss_bytes
                for each in activity.vassals
                if each.pss_bytes is not None
            }
        return Sample(
            activity, datetime.now(UTC), self._cpu(activity), dict(self._memory), dict(self._wakes)
        )

    def _cpu(self, activity: Activity) -> dict[str, float]:
        now = asyncio.get_running_loop().time()
        used = {
            each.status.name: (now, each.status.cpu_seconds)
            for each in activity.vassals
            if each.status.cpu_seconds is not None
        }
        shares = {}
        for name, (at, seconds) in used.items():
            before = self._before.get(name)
            if before and at > before[0]:
                shares[name] = max(0.0, 100 * (seconds - before[1]) / (at - before[0]))
        self._before = used
        # What sleeps takes no memory, whatever it took.
        for name in self._memory.keys() - used.keys():
            del self._memory[name]
        return shares


class _Screen:
    """What is on the screen, and what changes it: keys, samples and the size of the terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._view = View()
        self._sample: Sample | None = None
        self._wanted = asyncio.Event()
        self._is_over = asyncio.Event()
        self.is_interrupted = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, run_dir: Path) -> None:
        """Show the activity until somebody quits."""
        loop = asyncio.get_running_loop()
        async with connect(run_dir) as client:
            meter = _Meter(client)
            self._sample = await meter.take("", ())
            with Live(console=self._console, screen=True, auto_refresh=False) as live:
                loop.add_signal_handler(signal.SIGWINCH, self._draw, live)
                for number in (signal.SIGINT, signal.SIGTERM):
                    loop.add_signal_handler(number, self._interrupt)
                fd = sys.stdin.fileno()
                try:
                    # A fault in one of them ends it, with a traceback on the screen from before.
                    async with asyncio.TaskGroup() as tasks:
                        loop.add_reader(fd, self._read, fd, live, client, tasks)
                        self._begin(self._refresh(meter, live), tasks)
                        await self._is_over.wait()
                        for task in self._tasks:
                            task.cancel()
                finally:
                    loop.remove_reader(fd)
                    loop.remove_signal_handler(signal.SIGWINCH)

    def _interrupt(self) -> None:
        self.is_interrupted = True
        self._is_over.set()

    def _begin(self, work: Coroutine[Any, Any, None], tasks: asyncio.TaskGroup) -> None:
        task = tasks.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _refresh(self, meter: _Meter, live: Live) -> None:
        turn, is_lost = 0, False
        while True:
            self._draw(live)
            with suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_SECONDS):
                    await self._wanted.wait()
            self._wanted.clear()
            measured = self._shown() if turn % MEASURE_EVERY == 0 else ()
            try:
                self._sample = await meter.take(self._view.needle, measured)
                turn += 1
                if is_lost:
                    self._view, is_lost = replace(self._view, message=""), False
            except Failed as error:
                # It may be restarted or upgraded just now.
                self._view, is_lost = replace(self._view, message=str(error)), True

    def _shown(self) -> tuple[str, ...]:
        assert self._sample
        names = [each.status.name for each in rows_of(self._sample, self._view)]
        return tuple(names[: min(room(self._console.height), MOST_MEASURED)])

    def _read(self, fd: int, live: Live, client: Client, tasks: asyncio.TaskGroup) -> None:
        typed = os.read(fd, 1024).decode(errors="ignore")
        if not typed:
            self._is_over.set()
        for key in keys_of(typed):
            assert self._sample
            names = [each.status.name for each in rows_of(self._sample, self._view)]
            needle = self._view.needle
            self._view, command = press(self._view, key, names, room(self._console.height))
            if self._view.needle != needle:
                self._wanted.set()
            if command and command.quits:
                self._is_over.set()
            elif command and command.order:
                self._begin(self._act(command, live, client), tasks)
        self._draw(live)

    async def _act(self, command: Command, live: Live, client: Client) -> None:
        assert command.order
        what = f"{command.order.value} {command.name}"
        self._tell(f"{what} …", live)
        try:
            detail = await client.order(command.name, command.order)
        except Failed as error:
            self._tell(str(error), live)
        else:
            self._tell(f"{what}: {detail.status.state.value}", live)
        self._wanted.set()

    def _tell(self, message: str, live: Live) -> None:
        self._view = replace(self._view, message=message)
        self._draw(live)

    def _draw(self, live: Live) -> None:
        if self._sample:
            lines = screen(self._sample, self._view, self._console.size, _user)
            live.update(Text("\n").join(lines), refresh=True)


@cache
def _user(uid: int | None) -> str:
    """The name of a user, or its number where it has none."""
    if uid is None:
        return "emperord"
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@contextmanager
def _raw_keys(fd: int) -> Iterator[None]:
    """Each key arrives at once and is not echoed; Ctrl-Z would leave the screen behind."""
    before = termios.tcgetattr(fd)
    now = termios.tcgetattr(fd)
    now[3] &= ~(termios.ICANON | termios.ECHO)
    now[6][termios.VMIN], now[6][termios.VTIME] = 1, 0
    now[6][termios.VSUSP] = b"\0"
    termios.tcsetattr(fd, termios.TCSADRAIN, now)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
