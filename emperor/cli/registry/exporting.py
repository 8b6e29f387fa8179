"""`emperorctl registry export`: all inis as files of their owners, as a backend would have them."""

import os
import pwd
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click

from emperor.cli.failure import Failed
from emperor.cli.registry.commands import RegistryOptions
from emperor.cli.registry.session import Session, run
from emperor.model.registration import RegisteredIni
from emperor.model.text import one_line

_NEW = ".emperorctl-export"
# An ini may hold a password, and its owner may read it.
_MODE = 0o600


@dataclass(slots=True)
class _Count:
    """What became of the inis."""

    written: int = 0
    same: int = 0
    refused: int = 0


@click.command("export")
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Replace files that differ.")
@click.pass_obj
def export(options: RegistryOptions, folder: Path, replace: bool) -> None:
    """Write the ini of each domain into FOLDER, as DOMAIN.ini of its owner.

    `emperorctl registry import` puts them back as they were. A file that differs is left alone,
    and one that is the same is not written, so a run that was cut off can be repeated. Do not
    export into a folder that emperord serves: there these files would count as an administrator's.
    """
    try:
        folder.mkdir(mode=0o755, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise Failed(f"cannot write to {folder}: {error.strerror}") from error
    count = _Count()
    try:
        run(lambda session: _export(session, handle, replace, count), options.access_file)
    finally:
        os.close(handle)
        words = f"{count.written} written, {count.same} were there already"
        click.echo(f"{words}, {count.refused} refused")
    if count.refused:
        raise Failed(f"{count.refused} entries were not exported: see above")


async def _export(session: Session, folder: int, replaces: bool, count: _Count) -> None:
    async for held in session.entries.all():
        domain, each = session.entries.found_at(held)
        try:
            if each.sealed is None:
                raise Failed(f"the entry cannot be used: {each.problem}")
            if isinstance(each.sealed.entry, RegisteredIni):
                _write(folder, each.sealed.entry, replaces, count)
        except Failed as error:
            count.refused += 1
            message = one_line(f"emperorctl: cannot export {domain}: {error}")
            click.echo(message, err=True)


def _write(folder: int, entry: RegisteredIni, replaces: bool, count: _Count) -> None:
    name, data = f"{entry.domain}.ini", entry.ini.encode()
    try:
        owner = pwd.getpwnam(entry.owner)
    except KeyError as error:
        raise Failed(f"this machine has no user {one_line(entry.owner)}; create it") from error
    if owner.pw_uid == 0:
        raise Failed("its owner would be root, whom no backend takes")
    try:
        if _is_there(folder, name, data, owner.pw_uid):
            count.same += 1
            return
        if not replaces and _exists(folder, name):
            raise Failed(f"{name} is there, and differs; --replace writes it anew")
        _replace(folder, name, data, owner)
        count.written += 1
    except PermissionError as error:
        raise Failed(f"cannot give {name} to {entry.owner}: run it as root") from error
    except OSError as error:
        raise Failed(f"cannot write {name}: {error.strerror}") from error


def _exists(folder: int, name: str) -> bool:
    with suppress(FileNotFoundError):
        os.stat(name, dir_fd=folder, follow_symlinks=False)
        return True
    return False


def _is_there(folder: int, name: str, data: bytes, uid: int) -> bool:
    """Whether the file is there with that content and owner."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return False
    with open(fd, "rb") as file:
        return os.fstat(fd).st_uid == uid and file.read(len(data) + 1) == data


def _replace(folder: int, name: str, data: bytes, owner: pwd.struct_passwd) -> None:
    """Write it beside, and then in its place: an ini is never half there. Raises OSError."""
    with suppress(FileNotFoundError):
        os.unlink(_NEW, dir_fd=folder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    fd = os.open(_NEW, flags, _MODE, dir_fd=folder)
    try:
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(fd, _MODE)
            os.fchown(fd, owner.pw_uid, owner.pw_gid)
        os.rename(_NEW, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with suppress(OSError):
            os.unlink(_NEW, dir_fd=folder)
        raise
