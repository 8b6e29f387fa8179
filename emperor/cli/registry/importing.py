"""`emperorctl registry import`: all inis of a folder, some at once; what is there already is left
alone, so that a run that was cut off can be repeated."""

import asyncio
import pwd
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click

from emperor.cli.failure import Failed, Unreachable
from emperor.cli.progress import ERASE_LINE
from emperor.cli.registry.commands import RegistryOptions
from emperor.cli.registry.drafts import Draft, refuse_owner
from emperor.cli.registry.put import Terms, put_one
from emperor.cli.registry.session import Session, run, written
from emperor.cli.terminal import terminal
from emperor.model.definition import BrokenIni
from emperor.model.domain import is_domain
from emperor.model.text import one_line
from emperor.sources.files import read_ini

_AT_ONCE = 32
_SHOWN_EVERY_SECONDS = 0.2


@dataclass(slots=True)
class _Count:
    """What became of the inis so far."""

    total: int
    put: int = 0
    same: int = 0
    refused: list[Failed] = field(default_factory=list)

    @property
    def done(self) -> int:
        return self.put + self.same + len(self.refused)

    def __str__(self) -> str:
        words = f"{self.put} put, {self.same} were there already, {len(self.refused)} refused"
        return f"{words}; {self.done} of {self.total} inis"


class _Line:
    """The line on a terminal that tells how far it is."""

    def __init__(self, count: _Count) -> None:
        self._count = count
        self._is_shown = terminal(stderr=True).is_interactive
        self._next = 0.0

    def show(self) -> None:
        now = time.monotonic()
        if self._is_shown and now >= self._next:
            self._next = now + _SHOWN_EVERY_SECONDS
            click.echo(f"{ERASE_LINE}{self._count} …", nl=False, err=True)

    def erase(self) -> None:
        if self._is_shown:
            click.echo(ERASE_LINE, nl=False, err=True)


@click.command("import")
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option(
    "--owner", metavar="USER", help="The owner of all of them.  [default: that of each file]"
)
@click.option("--replace", is_flag=True, help="Change what the registry has otherwise.")
@click.option(
    "--serial", metavar="N", type=click.IntRange(1), default=1,
    help="Give all of them at least this serial, after a restore from a backup.",
)  # fmt: skip
@click.pass_obj
def import_(
    options: RegistryOptions, folder: Path, owner: str | None, replace: bool, serial: int
) -> None:
    """Put each DOMAIN.ini of FOLDER into the registry, for instance /etc/uwsgi/vassals.

    What the registry has already is left alone, so a run that was cut off can be repeated. Check
    the inis by `emperorctl check FOLDER` first; here only names, owners and sizes are checked.
    """
    try:
        names = sorted(each.name for each in folder.iterdir() if _is_ini(each.name))
    except OSError as error:
        raise Failed(f"cannot read {folder}: {error.strerror}") from error
    if not names:
        raise Failed(f"cannot import {folder}: there is no DOMAIN.ini in it")
    count = _Count(len(names))
    line = _Line(count)
    drafts = (_Source(folder / name, owner) for name in names)
    try:
        terms = Terms(least=serial, replaces=replace)
        run(lambda session: _import(session, drafts, terms, count, line), options.access_file)
    finally:
        line.erase()
        click.echo(str(count))
    if count.refused:
        raise Failed(f"{len(count.refused)} of {count.total} inis were refused: see above")


def _is_ini(name: str) -> bool:
    return name.endswith(".ini") and not name.startswith(".")


@dataclass(frozen=True, slots=True)
class _Source:
    """A file, and the owner that its ini shall have instead of the file's."""

    path: Path
    owner: str | None

    def read(self) -> Draft:
        """The ini. Raises Failed."""
        domain = self.path.name.removesuffix(".ini")
        cannot = f"cannot put {one_line(domain)}"
        if not is_domain(domain):
            raise Failed(f"{cannot}: it is no host name; rename the file")
        try:
            file = read_ini(str(self.path))
        except OSError as error:
            raise Failed(f"{cannot}: cannot read {self.path}: {error.strerror}") from error
        except BrokenIni as error:
            raise Failed(f"{cannot}: {error}") from error
        owner = self.owner
        if owner is None:
            try:
                owner = pwd.getpwuid(file.owner.uid).pw_name
            except KeyError as error:
                raise Failed(
                    f"{cannot}: its file belongs to uid {file.owner.uid}, which is no user's here;"
                    " chown it"
                ) from error
        refuse_owner(owner, cannot, f"put it by itself, with --owner USER, or chown {self.path}")
        return Draft(domain, owner, file.data, self.path)


async def _import(
    session: Session, sources: Iterator[_Source], terms: Terms, count: _Count, line: _Line
) -> None:
    async with asyncio.TaskGroup() as tasks:
        # All of them take from one iterator.
        for _ in range(_AT_ONCE):
            tasks.create_task(_import_some(session, sources, terms, count, line))


async def _import_some(
    session: Session, sources: Iterable[_Source], terms: Terms, count: _Count, line: _Line
) -> None:
    for source in sources:
        try:
            draft = source.read()
            change = put_one(session, draft, terms)
            entry = await written(change, f"put {draft.domain}", draft.domain)
        except Unreachable:
            raise
        except Failed as error:
            count.refused.append(error)
            line.erase()
            click.echo(f"emperorctl: {one_line(str(error))}", err=True)
        else:
            if entry is None:
                count.same += 1
            else:
                count.put += 1
        line.show()
