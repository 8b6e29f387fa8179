"""Checks an ini that is to go into the registry, as `emperorctl check` checks one of the folder."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import click

from emperor.cli.check import lines, settings_of_daemon
from emperor.cli.examine import Claim, Examiner, Verdict
from emperor.cli.failure import Failed
from emperor.cli.programs import Programs
from emperor.cli.registry.session import aliases_named
from emperor.cli.terminal import edge, show, terminal, wrapped
from emperor.config import find_uwsgi, load_settings
from emperor.linux.accounts import SystemAccounts
from emperor.model.definition import FileOwner
from emperor.model.section import SettingsError
from emperor.model.settings import Settings
from emperor.uwsgi.findings import Severity
from emperor.uwsgi.resolver import CannotResolve

CONFIG = click.option(
    "--config", metavar="FILE",
    help="emperord's settings for the check.  [default: as for `emperorctl check`]",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Draft:
    """An ini as it shall be in the registry, and the file that it comes from, for messages."""

    domain: str
    owner: str
    data: bytes
    origin: Path


def refuse_owner(owner: str, cannot: str, cure: str = "give --owner USER") -> None:
    """Raise Failed for an owner that no backend would take."""
    user = SystemAccounts().user(owner) if owner else None
    if not owner or owner.isdigit():
        raise Failed(f"{cannot}: {owner or 'nobody'} is no name of a user; {cure}")
    if owner == "root" or (user is not None and user.uid == 0):
        raise Failed(f"{cannot}: its owner would be root, whom no backend takes; {cure}")


def checked(draft: Draft, run_dir: Path, config: str | None, *, is_forced: bool) -> None:
    """Print what will not work. Raises Failed if the ini is broken, or cannot be checked, unless
    that `is_forced`."""
    cannot = f"cannot put {draft.domain}"
    try:
        verdict = _verdict(draft, run_dir, config)
    except Failed as error:
        if not is_forced:
            raise Failed(f"{cannot}: {error}; --force puts it unchecked") from error
        click.echo(f"emperorctl: warning: not checked: {error}", err=True)
        return
    if verdict.findings:
        console = terminal(stderr=True)
        found = lines(replace(verdict, socket=None))
        show(console, [part for line in found for part in wrapped(line, edge(console))])
    if verdict.socket is None and not is_forced:
        broken = sum(each.severity is Severity.ERROR for each in verdict.findings)
        what = "an error" if broken == 1 else f"{broken} errors"
        raise Failed(
            f"{cannot}: {draft.origin} has {what}, so that no backend would serve it; mend it, or"
            " put it all the same by --force"
        )


def _verdict(draft: Draft, run_dir: Path, config: str | None) -> Verdict:
    user = SystemAccounts().user(draft.owner)
    if user is None:
        raise Failed(f"this machine has no user {draft.owner}, as whom the ini could be checked")
    owner = FileOwner(user.uid, user.gid)
    try:
        settings = load_settings(config, {} if config else settings_of_daemon(run_dir))
        uwsgi = find_uwsgi(settings.uwsgi_binary)
        with _as_file(draft) as path:
            verdict = asyncio.run(_examined(draft, path, owner, settings, uwsgi))
    except SettingsError as error:
        raise Failed(str(error)) from error
    except CannotResolve as error:
        raise Failed(f"cannot read the options of {uwsgi}: {error}") from error
    except OSError as error:
        raise Failed(f"cannot check it: {error.strerror}") from error
    return replace(verdict, path=draft.origin)


@contextmanager
def _as_file(draft: Draft) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="emperorctl-") as folder:
        # uWSGI reads it as the owner of the ini.
        Path(folder).chmod(0o755)
        path = Path(folder, f"{draft.domain}.ini")
        path.write_bytes(draft.data)
        path.chmod(0o644)
        yield path


async def _examined(
    draft: Draft, path: Path, owner: FileOwner, settings: Settings, uwsgi: Path
) -> Verdict:
    programs = Programs(uwsgi)
    await programs.asked()
    examiner = Examiner(settings, uwsgi, programs, [path])
    aliases = frozenset(aliases_named(draft.domain, draft.data))
    return await examiner.examine(path, Claim(owner, aliases))
