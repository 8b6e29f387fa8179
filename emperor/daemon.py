"""emperord: command line, log and exit status."""

import argparse
import logging
import os
import sys
import time
from contextlib import nullcontext

from emperor import __version__
from emperor.config import DEFAULT_CONFIG, load_settings
from emperor.failure import CannotStart, first_error
from emperor.linux.journal import SafeFormatter, log_handler
from emperor.linux.lock import AlreadyRunning
from emperor.linux.no_entities import no_entities
from emperor.linux.no_openssl import no_openssl
from emperor.model.section import SettingsError
from emperor.model.settings import KEYS

log = logging.getLogger("emperord.daemon")

_RESTART_DELAY_SECONDS = 1.0
_DESCRIPTION = """\
Host the uWSGI apps of a folder of inis. An app starts on a request and sleeps when unused.
Each setting is a key of the settings file and an option of the same name; the option wins. A TIME
is a duration such as 26h, 1h30m, 90s or 500ms, or a number of seconds. See emperord(8)."""


def _set_up_log(for_emperor: bool) -> None:
    """Log to the journal if stderr leads there, and otherwise to stderr. `for_emperor`: another
    emperord quotes the lines, which then have no time and no level."""
    handler = log_handler(os.environ)
    if for_emperor:
        handler = logging.StreamHandler()
        handler.setFormatter(SafeFormatter("%(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)


def _delay_next_start() -> None:
    """Wait, if systemd will start emperord again at once, as it should after a crash. A daemon that
    cannot start would be started without end, which takes a core."""
    if "NOTIFY_SOCKET" in os.environ:
        time.sleep(_RESTART_DELAY_SECONDS)


def command_line() -> argparse.ArgumentParser:
    """The options of the program. aiohttp imports argparse, too; click would take 1.2 MB."""
    parser = argparse.ArgumentParser(
        prog="emperord",
        usage="%(prog)s [OPTIONS]",
        description=_DESCRIPTION,
        allow_abbrev=False,
    )
    version = f"%(prog)s, version {__version__}"
    parser.add_argument("--version", action="version", version=version)
    parser.add_argument("--config", metavar="FILE", help=f"the settings file [{DEFAULT_CONFIG}]")
    parser.add_argument(
        "--prove",
        type=int,
        metavar="FORMAT",
        help="check whether this version can replace a running one",
    )
    for key in KEYS:
        default = f" [{key.default}]" if key.default else ""
        text = f"{key.help}{default}".replace("%", "%%")
        parser.add_argument(f"--{key.name}", metavar=key.metavar, dest=key.name, help=text)
    return parser


def main() -> None:
    """Host the apps, as the options and the settings file say."""
    given = vars(command_line().parse_args())
    config: str | None = given.pop("config")
    snapshots: int | None = given.pop("prove")
    _set_up_log(for_emperor=snapshots is not None)
    flags: dict[str, str] = {name: value for name, value in given.items() if value is not None}
    try:
        settings = load_settings(config, flags)
        # The registry alone is asked over TLS.
        tls = nullcontext() if settings.registry_config else no_openssl()
        with tls, no_entities():
            from emperor import process  # noqa: PLC0415
        if snapshots is None:
            process.run(settings, config, flags)
        else:
            process.prove(config, flags, snapshots)
    except (CannotStart, SettingsError, AlreadyRunning) as error:
        log.error("%s", error)
        if snapshots is None:
            _delay_next_start()
        sys.exit(1)
    except Exception as error:
        log.critical("emperord ends after an error: %s", first_error(error), exc_info=True)
        sys.exit(1)
    sys.exit(0)
