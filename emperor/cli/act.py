"""`emperorctl start`, `stop`, `restart`, `reload`: ask for it, wait for it, say what came of it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from emperor.cli.arguments import domains_argument
from emperor.cli.client import Action, Client, connect
from emperor.cli.failure import Failed, Unreachable
from emperor.cli.progress import Progress
from emperor.cli.text import naming, plain
from emperor.model.status import VassalDetail

DOING = {
    Action.START: "starting",
    Action.STOP: "stopping",
    Action.RESTART: "restarting",
    Action.RELOAD: "reloading",
}


def outcome(detail: VassalDetail) -> str:
    """What became of the vassal, in a line."""
    status = detail.status
    line = plain(f"{status.name}: {status.state}")
    if status.pid is None:
        return line
    if detail.wake is None or detail.wake.accepting_ms is None:
        return f"{line} (pid {status.pid})"
    return f"{line} (pid {status.pid}, accepted after {detail.wake.accepting_ms / 1000:.2f} s)"


@click.command()
@domains_argument(required=True)
@click.pass_obj
def start(run_dir: Path, domains: tuple[str, ...]) -> None:
    """Wake each DOMAIN and wait until it accepts. One that is throttled is pardoned."""
    asyncio.run(_act_on_all(run_dir, Action.START, domains))


@click.command()
@domains_argument(required=True)
@click.pass_obj
def stop(run_dir: Path, domains: tuple[str, ...]) -> None:
    """Put each DOMAIN to sleep. Requests that have begun are finished, and the next hit wakes it
    again: to take a site off the air, move its ini away."""
    asyncio.run(_act_on_all(run_dir, Action.STOP, domains))


@click.command()
@domains_argument(required=True)
@click.pass_obj
def restart(run_dir: Path, domains: tuple[str, ...]) -> None:
    """Stop each DOMAIN, then start it and wait until it accepts. Hits wait meanwhile."""
    asyncio.run(_act_on_all(run_dir, Action.RESTART, domains))


@click.command()
@domains_argument(required=True)
@click.pass_obj
def reload(run_dir: Path, domains: tuple[str, ...]) -> None:
    """Boot a successor beside each DOMAIN that runs. It takes over when it accepts; if it cannot,
    the old one goes on serving."""
    asyncio.run(_act_on_all(run_dir, Action.RELOAD, domains))


async def _act_on_all(run_dir: Path, action: Action, domains: Sequence[str]) -> None:
    each = tuple(dict.fromkeys(domains))
    progress = Progress(DOING[action], each)
    async with connect(run_dir) as client, asyncio.TaskGroup() as group:
        tasks = [group.create_task(_act(client, action, domain, progress)) for domain in each]
    if failures := [failure for task in tasks if (failure := task.result())]:
        raise ExceptionGroup(f"cannot {action.value} every vassal", failures)


async def _act(client: Client, action: Action, domain: str, progress: Progress) -> Failed | None:
    """Act on one. Its failure is returned, so that it leaves the others alone."""
    try:
        detail = await client.act(domain, action)
    except Unreachable as failure:
        progress.done(domain, "")
        return failure
    except Failed as failure:
        progress.done(domain, "")
        return type(failure)(naming(domain, str(failure)))
    progress.done(domain, outcome(detail))
    return None
