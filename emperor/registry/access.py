"""Reads the file that says how to reach the registry, and the secret that it names."""

import os
import stat
from pathlib import Path

from emperor.model.registry_access import DEFAULT_FILE, RegistryAccess, read_access
from emperor.model.section import SettingsError, not_utf8

_LONGEST_FILE_BYTES = 64 << 10


def load_access(path: str | Path = DEFAULT_FILE) -> RegistryAccess:
    """What the file says. Raises SettingsError."""
    return read_access(text_of(Path(path)), str(path))


def read_password(path: Path) -> str:
    """The first line of a file that nobody but its owner and its group may read.

    Raises SettingsError.
    """
    text = text_of(path, is_secret=True)
    if not (password := text.partition("\n")[0].rstrip("\r")):
        raise SettingsError(f"cannot read {path}: it has no password in its first line")
    return password


def text_of(path: Path, is_secret: bool = False) -> str:
    """The text of a file; a secret must not be open to every user. Raises SettingsError."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise SettingsError(f"cannot read {path}: it is no ordinary file")
            if is_secret and mode & stat.S_IRWXO:
                raise SettingsError(
                    f"cannot use {path}: every user may read this secret; chmod o= {path}"
                )
            content = file.read(_LONGEST_FILE_BYTES + 1)
    except PermissionError as error:
        raise SettingsError(
            f"cannot read {path}: {error.strerror}; a group of this user must be able to read it:"
            " chgrp GROUP and chmod 640"
        ) from error
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > _LONGEST_FILE_BYTES:
        raise SettingsError(f"cannot read {path}: it is longer than {_LONGEST_FILE_BYTES} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise not_utf8(str(path), error) from error
