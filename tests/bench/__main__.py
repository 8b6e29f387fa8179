"""`make bench`: measure emperord and its rivals, print tables, and write docs/figures.json and the
pages that quote it.

A missed limit is shown in red, and is no failure: the tests check what must always hold.
"""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType

import click
from rich.console import Console

from docs.figures import FIGURES
from docs.generate import write_all
from emperor.linux.cgroup import V2, hierarchies_of
from tests.bench.asleep import asleep
from tests.bench.boot_queue import boot_queue
from tests.bench.byte_code import byte_code
from tests.bench.cold import from_a_base_of_their_home, on_the_listener, through_nginx
from tests.bench.console import console
from tests.bench.crash import crash
from tests.bench.dropped import dropped
from tests.bench.figures import OtherMachine, Record
from tests.bench.fleet import fleet
from tests.bench.hash import placement
from tests.bench.herd import herd
from tests.bench.kept_apart import kept_apart
from tests.bench.many import many
from tests.bench.neighbours import hogs, slow_boots
from tests.bench.parked import parked
from tests.bench.peers.contest import Comparison
from tests.bench.peers.rows import COMPARISONS
from tests.bench.pull import pull
from tests.bench.pulled import pulled
from tests.bench.registry import registry
from tests.bench.reload import reload
from tests.bench.report import Row, compared_table, table
from tests.bench.rounds import Bench
from tests.bench.scale import scale
from tests.bench.shared import shared
from tests.bench.slots import slots
from tests.bench.survival import survival
from tests.bench.thousand import thousand
from tests.bench.tls import tls
from tests.bench.upload import upload
from tests.bench.warm import warm

MEASUREMENTS: dict[str, Callable[[Bench], Iterator[Row | Comparison]]] = {
    **COMPARISONS,
    "cold": on_the_listener,
    "home": from_a_base_of_their_home,
    "nginx": through_nginx,
    "apart": kept_apart,
    "bytecode": byte_code,
    "warm": warm,
    "upload": upload,
    "mv": dropped,
    "parked": parked,
    "many": many,
    "console": console,
    "herd": herd,
    "shared": shared,
    "queue": boot_queue,
    "boots": slow_boots,
    "hogs": hogs,
    "reload": reload,
    "idle": asleep,
    "crash": crash,
    "survival": survival,
    "fleet": fleet,
    "slots": slots,
    "thousand": thousand,
    "registry": registry,
    "pulled": pulled,
    "scale": scale,
    "pull": pull,
    "tls": tls,
    "hash": placement,
}
_MOUNTS = Path("/proc/self/mountinfo")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_WIDTH = 150


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--rows", "names", default="", help=f"measure only these, of {','.join(MEASUREMENTS)} [all]"
)
@click.option("--quick", is_flag=True, help="run only three rounds of each measurement")
@click.option(
    "--figures",
    type=click.Path(path_type=Path, dir_okay=False),
    help="write the figures to this file [docs/figures.json; none with --quick]",
)
def main(names: str, quick: bool, figures: Path | None) -> None:
    """Measure emperord against its peers, bare uWSGI and a plain nginx.

    The figures go to docs/figures.json, and from there into the pages, of which docs/benchmarks.md
    is the first. A run with --rows replaces only its own rows in the file.
    """
    chosen = [name.strip() for name in names.split(",") if name.strip()] or list(MEASUREMENTS)
    if unknown := set(chosen) - set(MEASUREMENTS):
        raise click.BadParameter(f"there is no {', '.join(sorted(unknown))}", param_hint="--rows")
    path = figures or (None if quick else FIGURES)
    try:
        record = Record.of(path, whole=set(chosen) == set(MEASUREMENTS)) if path else None
    except OtherMachine as error:
        raise click.UsageError(str(error)) from error
    _prepare()
    done, broken = _measure(chosen, quick)
    terminal = Console(width=None if sys.stdout.isatty() else _WIDTH)
    rows = [each for each in done if isinstance(each, Row)]
    comparisons = [each for each in done if isinstance(each, Comparison)]
    if rows:
        terminal.print(table(rows))
    if comparisons:
        terminal.print(compared_table({each.what: each.compared for each in comparisons}))
    for problem in broken:
        terminal.print(problem, style="bold red", markup=False)
    if record:
        record.write(rows, comparisons, is_complete=not broken)
        if path == FIGURES:
            write_all()
    sys.exit(1 if broken else 0)


def _prepare() -> None:
    """Raise the limit on descriptors, since thousands of connections are open at once, let daemons
    write byte code, which an installed emperord has too, and handle interrupts. Have the kernel
    move processes between control groups as emperord-apps.service has it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for number in _SIGNALS:
        signal.signal(number, _interrupted)
    if not _favor_moves():
        click.echo("favordynmods cannot be set: a cold start waits for its control group", err=True)


def _favor_moves() -> bool:
    """Whether the kernel moves processes without a wait. That lasts until the machine boots."""
    found = [mount.place for mount in hierarchies_of(_MOUNTS.read_text()) if V2 in mount.names]
    remount = ["mount", "-o", "remount,favordynmods", *map(str, found[:1])]
    return bool(found) and subprocess.run(remount, check=False).returncode == 0


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    """Stop the run. A second interrupt must not stop the cleanup."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _measure(names: list[str], quick: bool) -> tuple[list[Row | Comparison], list[str]]:
    """The rows, and the problems. An interrupt ends the run and keeps the rows measured so far."""
    done: list[Row | Comparison] = []
    broken: list[str] = []
    terminal = Console(stderr=True)
    with terminal.status("starting") as status:
        for name in names:
            bench = Bench(quick, status.update)
            try:
                for line in MEASUREMENTS[name](bench):
                    done.append(_of_group(line, name))
                    terminal.print(f"{name}: {line.what}: done", highlight=False)
            except KeyboardInterrupt:
                broken.append(f"{name}: interrupted")
                break
            except Exception as error:  # a measurement that fails must not cost the others
                broken.append(f"{name}: cannot measure: {error!r}")
    return done, broken


def _of_group(line: Row | Comparison, name: str) -> Row | Comparison:
    """The row with the name by which --rows measures it again."""
    if isinstance(line, Comparison):
        return line
    return replace(line, measured=replace(line.measured, rows=name))


if __name__ == "__main__":
    main()
