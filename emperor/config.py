"""Reads the settings file, and finds the uWSGI binary."""

import os
import shutil
import sys
from pathlib import Path

from emperor.model.section import SettingsError, not_utf8
from emperor.model.settings import Settings, read_settings

DEFAULT_CONFIG = "/etc/uwsgi/emperord.ini"


def load_settings(config: str | None, flags: dict[str, str]) -> Settings:
    """The settings of the file `config`, or else of the default file if there is one. `flags` are
    options of the command line, by key, and win.

    Raises SettingsError.
    """
    path = config or DEFAULT_CONFIG
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if config is not None:
            raise SettingsError(f"cannot read {path}: no such file") from error
        text = ""
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise not_utf8(str(path), error) from error
    return read_settings(text, path, flags)


def find_uwsgi(chosen: Path | None) -> Path:
    """The chosen binary, or else the one beside this Python interpreter, or else that on PATH.

    Raises SettingsError.
    """
    beside = Path(sys.executable).with_name("uwsgi")
    on_path = shutil.which("uwsgi")
    candidates = [chosen] if chosen else [beside, *([Path(on_path)] if on_path else [])]
    for candidate in candidates:
        if os.access(candidate, os.X_OK):
            return candidate
    where = chosen or f"{beside} or on PATH"
    raise SettingsError(
        f"cannot find uwsgi at {where}: install it (pip install uwsgi), or set `uwsgi-binary`"
    )
