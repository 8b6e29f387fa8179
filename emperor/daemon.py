"""emperord: its command line, and the order of start and shutdown."""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import click

from emperor import __version__
from emperor.config import DEFAULT_CONFIG, find_uwsgi, load_settings
from emperor.handover.inherited import Inherited, claim
from emperor.handover.upgrade import Upgrade
from emperor.linux.cgroup import kill_others, service_group
from emperor.linux.limits import raise_open_files
from emperor.linux.listeners import owners
from emperor.linux.lock import AlreadyRunning, RunLock
from emperor.linux.notify import Notifier
from emperor.linux.origin import Origin
from emperor.model.daemon_record import keep_fixed_paths
from emperor.model.settings import KEYS, Settings, SettingsError
from emperor.model.snapshot import FORMAT
from emperor.service import Emperor

log = logging.getLogger("emperord")

_LONGEST_LINE = 4000
_LINGER_SECONDS = 1.0
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))}


class CannotStart(Exception):
    """Why the daemon does not come up."""


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotStart(f"cannot make {path}: {error.strerror}") from error


def _prepare_process() -> None:
    """Undo what whoever started us may have left in the process."""
    raise_open_files()
    # While it is ignored, the kernel keeps no exit status.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # What was given to us is not for every vassal.
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if int(name) > 2:
                os.set_inheritable(int(name), False)


def _log_to_stderr(bare: bool) -> None:
    """The journal has its own time stamps, and reads the level from sd-daemon(3)'s prefix. Whoever
    quotes the lines wants them `bare`."""
    handler = logging.StreamHandler()
    if bare:
        handler.setFormatter(_PlainFormatter("%(message)s"))
    elif "JOURNAL_STREAM" in os.environ:
        handler.setFormatter(_JournalFormatter("%(message)s"))
    else:
        handler.setFormatter(_PlainFormatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)


class _PlainFormatter(logging.Formatter):
    """Takes the teeth out of what apps and inis bring into a line: it could steer a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).translate(_CONTROLS)[:_LONGEST_LINE]


class _JournalFormatter(_PlainFormatter):
    _PRIORITY = (
        (logging.ERROR, "<3>"),
        (logging.WARNING, "<4>"),
        (logging.INFO, "<6>"),
        (logging.NOTSET, "<7>"),
    )

    def format(self, record: logging.LogRecord) -> str:
        prefix = next(mark for level, mark in self._PRIORITY if record.levelno >= level)
        return prefix + super().format(record).replace("\n", "\n" + prefix)


async def _reign(settings: Settings, uwsgi: Path, succession: Upgrade) -> None:
    """Serve until a signal says stop; a second one hurries."""
    stop, hurry, upgrade = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def on_stop() -> None:
        (hurry if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number, act in (
        (signal.SIGTERM, on_stop),
        (signal.SIGINT, on_stop),
        (signal.SIGHUP, upgrade.set),
    ):
        loop.add_signal_handler(number, act)
    # The version before may have left them blocked, so that none is lost between it and us.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # A signal that one of these took, in the moment before execv(2), would be lost.
    block = (signal.SIG_BLOCK, signal.valid_signals())
    threads = ThreadPoolExecutor(initializer=signal.pthread_sigmask, initargs=block)
    loop.set_default_executor(threads)
    async with asyncio.TaskGroup() as tasks:
        emperor = Emperor(settings, uwsgi, succession, tasks)
        await emperor.record(stop, hurry, upgrade)
        # What still reads an ini has nobody left to tell.
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
    for number in (signal.SIGTERM, signal.SIGINT):
        # All is done: one who hurries now must not turn the exit status into a failure.
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)


def prove(config: str | None, flags: dict[str, str], snapshots: int) -> None:
    """Whether this version could take the place of one that keeps snapshots of that format. Raises
    CannotStart and SettingsError."""
    settings = load_settings(config, flags)
    find_uwsgi(settings.uwsgi_binary)
    owners(settings)
    _make_folder(settings.log_dir)
    if snapshots != FORMAT:
        raise CannotStart(
            f"cannot go on with snapshots of format {snapshots}, only of {FORMAT}; stop the old "
            "version, then start this one"
        )


def run(config: str | None, flags: dict[str, str]) -> None:
    """Start, serve, stop. Raises CannotStart, SettingsError and AlreadyRunning."""
    origin = Origin.of_this_process()
    settings = load_settings(config, flags)
    uwsgi = find_uwsgi(settings.uwsgi_binary)
    _prepare_process()
    try:
        with Notifier.from_environment(os.environ) as notifier:
            inherited = claim(os.environ, notifier)
            settings = _settings_under(inherited, settings)
            for folder in (settings.run_dir, settings.log_dir):
                _make_folder(folder)
            lock = inherited.pop("lock")
            with RunLock(settings.run_dir, lock.fd if lock else None) as held:
                inherited.pass_on("lock", held.fd, is_ours=True)
                if inherited.is_new:
                    # Of a daemon that was killed while it stopped: they hold sockets.
                    _end_runaways()
                asyncio.run(_reign(settings, uwsgi, Upgrade(origin, notifier, inherited)))
                _end_runaways()
    except (OSError, ExceptionGroup) as error:
        # A task group raises groups, even for what is not a task's.
        cause = _first(error)
        if not isinstance(cause, OSError | SettingsError):
            raise
        raise CannotStart(f"cannot serve: {cause}") from error


def _settings_under(inherited: Inherited, settings: Settings) -> Settings:
    if inherited.record is None:
        return settings
    settings, unchanged = keep_fixed_paths(inherited.record, settings)
    for told in unchanged:
        log.warning(
            "cannot set %s: sockets and processes stand there; stop emperord, then start it", told
        )
    return settings


def _end_runaways() -> None:
    """What nobody knows any more, since an app moved it into a session of its own say, is in our
    control group still."""
    try:
        group = service_group(os.environ)
        killed = kill_others(group) if group else 0
    except OSError as error:
        log.warning("cannot end the processes that are left in our control group: %s", error)
    else:
        if killed:
            log.info("killed %d processes that were left in our control group", killed)


def _first(group: BaseException) -> BaseException:
    """The first error that is not a group itself."""
    return _first(group.exceptions[0]) if isinstance(group, BaseExceptionGroup) else group


def _linger() -> None:
    """systemd tries again at once, for the sake of a daemon that has died. What keeps this one from
    starting is not mended so soon, and to try without end would take a core."""
    if "NOTIFY_SOCKET" in os.environ:
        time.sleep(_LINGER_SECONDS)


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for key in reversed(KEYS):
        default = f" [{key.default}]" if key.default else ""
        option = click.option(f"--{key.name}", metavar=key.metavar, help=key.help + default)
        command = option(command)
    return command


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="emperord")
@click.option("--config", metavar="FILE", help=f"the settings file [{DEFAULT_CONFIG}]")
@click.option(
    "--prove",
    "snapshots",
    type=int,
    metavar="FORMAT",
    help="check whether this version can replace a running one",
)
@_options
def main(config: str | None, snapshots: int | None, **given: str | None) -> None:
    """Host the uWSGI apps of a folder of inis. An app starts on a request and sleeps when unused.

    Each setting is a key of the settings file and an option of the same name; the option wins. A
    TIME is a duration such as 26h, 1h30m, 90s or 500ms, or a number of seconds. See emperord(8).
    """
    _log_to_stderr(bare=snapshots is not None)
    flags = {name.replace("_", "-"): value for name, value in given.items() if value is not None}
    try:
        if snapshots is None:
            run(config, flags)
        else:
            prove(config, flags, snapshots)
    except (CannotStart, SettingsError, AlreadyRunning) as error:
        log.error("%s", error)
        if snapshots is None:
            _linger()
        sys.exit(1)
    sys.exit(0)
