"""`emperorctl start`, `sleep`, `restart`, `reload`, `maintenance`: give the order, wait, print the
outcome."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from emperor.cli.arguments import targets, targets_arguments
from emperor.cli.client import Client, connect
from emperor.cli.failure import Failed, Unreachable
from emperor.cli.names import no_such_vassal, resolve
from emperor.cli.progress import Progress
from emperor.cli.records import parse
from emperor.model.authority import Operation
from emperor.model.selection import Selection, is_pattern, select
from emperor.model.status import Report, VassalDetail, VassalStatus
from emperor.model.text import naming, plain

DOING = {
    Operation.START: "starting",
    Operation.SLEEP: "putting to sleep",
    Operation.RESTART: "restarting",
    Operation.RESTART_FRESH: "restarting",
    Operation.RELOAD: "reloading",
    Operation.MAINTENANCE_ON: "beginning the maintenance of",
    Operation.MAINTENANCE_OFF: "ending the maintenance of",
}
STOP_IS_SLEEP = "emperorctl: stop is the same as sleep: the next hit wakes the app again"


def _state(status: VassalStatus) -> str:
    closed = ", in maintenance" if status.maintenance_since else ""
    return plain(f"{status.name}: {status.state.value}{closed}")


def outcome(detail: VassalDetail) -> str:
    """The state of the vassal after the order, in a line."""
    status = detail.status
    line = _state(status)
    if status.pid is None:
        return line
    if detail.wake is None or detail.wake.accepting_ms is None:
        return f"{line} (pid {status.pid})"
    return f"{line} (pid {status.pid}, accepted after {detail.wake.accepting_ms / 1000:.2f} s)"


@click.command()
@targets_arguments
@click.pass_obj
def start(run_dir: Path, words: tuple[str, ...], everything: bool) -> None:
    """Start each DOMAIN and wait until it accepts requests. A throttled app is tried at once.

    A DOMAIN may be a shell pattern in quotes, as '*.example.com'. A pattern that matches nothing is
    an error.
    """
    asyncio.run(_order_all(run_dir, Operation.START, targets(words, everything)))


@click.command()
@targets_arguments
@click.pass_obj
def sleep(run_dir: Path, words: tuple[str, ...], everything: bool) -> None:
    """Put each DOMAIN to sleep, and wait until its process has ended. It finishes the requests that
    it has begun.

    The next hit wakes it again. `emperorctl maintenance` closes a site.
    """
    asyncio.run(_order_all(run_dir, Operation.SLEEP, targets(words, everything)))


@click.command()
@targets_arguments
@click.pass_obj
def stop(run_dir: Path, words: tuple[str, ...], everything: bool) -> None:
    """Put each DOMAIN to sleep, as `emperorctl sleep` does: the next hit wakes it again.
    `emperorctl maintenance` closes a site."""
    click.echo(STOP_IS_SLEEP, err=True)
    asyncio.run(_order_all(run_dir, Operation.SLEEP, targets(words, everything)))


@click.command()
@targets_arguments
@click.option(
    "--fresh", "is_fresh", is_flag=True,
    help="Kill all processes at once, and bind another socket: after a break-in, for instance.",
)  # fmt: skip
@click.pass_obj
def restart(run_dir: Path, words: tuple[str, ...], everything: bool, is_fresh: bool) -> None:
    """Stop each DOMAIN, start it again, and wait until it accepts requests. Hits wait meanwhile.

    A DOMAIN may be a shell pattern in quotes, as '*.example.com'. A pattern, or --all, leaves
    sleeping apps alone.
    """
    order = Operation.RESTART_FRESH if is_fresh else Operation.RESTART
    asyncio.run(_order_all(run_dir, order, targets(words, everything)))


@click.command()
@targets_arguments
@click.pass_obj
def reload(run_dir: Path, words: tuple[str, ...], everything: bool) -> None:
    """Start a new process beside the running one of each DOMAIN. It takes over when it accepts
    requests. If it fails, the old one goes on serving. A DOMAIN that sleeps stays asleep."""
    asyncio.run(_order_all(run_dir, Operation.RELOAD, targets(words, everything)))


@click.command()
@targets_arguments
@click.argument("switch", metavar="on|off", type=click.Choice(["on", "off"]))
@click.pass_obj
def maintenance(run_dir: Path, words: tuple[str, ...], everything: bool, switch: str) -> None:
    """Close each DOMAIN to visitors, or open it again. Meanwhile every request gets 503 with
    Retry-After and a page, and nothing starts the app.

    `on` waits until its process has finished its requests and has ended. The maintenance lasts
    until `off`, over restarts of emperord and reboots.
    """
    order = Operation.MAINTENANCE_ON if switch == "on" else Operation.MAINTENANCE_OFF
    asyncio.run(_order_all(run_dir, order, targets(words, everything)))


async def _order_all(run_dir: Path, order: Operation, words: Sequence[str]) -> None:
    async with connect(run_dir) as client:
        names = await resolve(client, words)
        selection = Selection(names)
        if is_many := any(map(is_pattern, names)):
            report = parse(Report, await client.status())
            selection = select(names, report.vassals, order)
        for vassal in selection.spared:
            click.echo(f"{_state(vassal)}, left alone")
        progress = Progress(DOING[order], selection.domains)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_order(client, order, domain, progress))
                for domain in selection.domains
            ]
    failures: list[Failed] = [no_such_vassal(pattern) for pattern in selection.unmatched]
    failed = [failure for task in tasks if (failure := task.result())]
    if is_many and (tasks or selection.spared):
        click.echo(count(len(tasks) - len(failed), len(failed), len(selection.spared)))
    if failures := failures + failed:
        raise ExceptionGroup("not every vassal has done it", failures)


def count(done: int, failed: int, spared: int) -> str:
    """The last line about many vassals."""
    parts = [f"{done} done"]
    parts += [f"{failed} failed"] if failed else []
    parts += [f"{spared} left alone"] if spared else []
    return ", ".join(parts)


async def _order(
    client: Client, order: Operation, domain: str, progress: Progress
) -> Failed | None:
    """Give one vassal the order. A failure is returned: raising it would cancel the others."""
    try:
        detail = await client.order(domain, order)
    except Unreachable as failure:
        progress.done(domain, "")
        return failure
    except Failed as failure:
        progress.done(domain, "")
        return type(failure)(naming(domain, str(failure)))
    progress.done(domain, outcome(detail))
    return None
