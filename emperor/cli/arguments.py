"""Arguments and options that commands share; a DOMAIN is completed by what the daemon serves."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from emperor.cli.client import connect
from emperor.cli.failure import Failed
from emperor.cli.placement import Rule
from emperor.cli.records import parse
from emperor.model.duration import parse_duration
from emperor.model.status import Report

# TAB must not block the shell when the daemon hangs.
COMPLETION_SECONDS = 1.0

F = TypeVar("F", bound=Callable[..., Any])


def as_host(text: str) -> str:
    """A host as people write it: in any case, and with the dot at the end that DNS tools print."""
    return text.lower().removesuffix(".")


def domain_argument(command: F) -> F:
    """One `domain`."""
    return click.argument("domain", metavar="DOMAIN", type=as_host, shell_complete=complete_domain)(
        command
    )


def domains_argument(required: bool) -> Callable[[F], F]:
    """A tuple `domains`."""
    metavar = "DOMAIN..." if required else "[DOMAIN...]"
    return click.argument(
        "domains",
        metavar=metavar,
        type=as_host,
        nargs=-1,
        required=required,
        shell_complete=complete_domain,
    )


def targets_arguments(command: F) -> F:
    """A tuple `words` of domains and patterns, and the flag `everything`."""
    argument = click.argument(
        "words", metavar="DOMAIN...", type=as_host, nargs=-1, shell_complete=complete_domain
    )
    option = click.option("--all", "everything", is_flag=True, help="All vassals.")
    return argument(option(command))


def targets(words: tuple[str, ...], everything: bool) -> tuple[str, ...]:
    """The words of `targets_arguments`, --all as a pattern. Raises UsageError."""
    if everything and words:
        raise click.UsageError("--all needs no DOMAIN")
    if not (everything or words):
        raise click.UsageError("Missing argument 'DOMAIN...', or --all.")
    return ("*",) if everything else words


def moment(text: str, now: datetime) -> datetime:
    """The time that `text` means: a duration before `now`, as 10m, or a time as
    2026-03-01 12:00:00, in the local time zone if it names none. Raises ValueError."""
    try:
        return now - timedelta(seconds=parse_duration(text.removesuffix(" ago")))
    except (ValueError, OverflowError):
        return datetime.fromisoformat(text).astimezone()


def since(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Any:
    """The callback of an option whose value is such a text."""
    try:
        return None if text is None else moment(text, datetime.now(UTC))
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(f"{text!r} is neither 10m nor '2026-03-01 12:00:00'") from error


def placement_option(command: F) -> F:
    """The Rule `placement`."""
    return click.option(
        "--placement", type=click.Choice([rule.value for rule in Rule]), callback=_rule,
        default=Rule.STOCK.value, show_default=True, help="The hash that the load balancer uses.",
    )(command)  # fmt: skip


def _rule(_context: click.Context, _parameter: click.Parameter, chosen: str) -> Rule:
    return Rule(chosen)


def complete_domain(context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
    """The served domains that begin with `typed`."""
    run_dir = context.find_root().params["run_dir"]
    try:
        report = asyncio.run(_report(run_dir))
    except (Failed, TimeoutError):
        return []
    return [vassal.name for vassal in report.vassals if vassal.name.startswith(typed)]


async def _report(run_dir: Path) -> Report:
    async with asyncio.timeout(COMPLETION_SECONDS), connect(run_dir) as client:
        return parse(Report, await client.status())
