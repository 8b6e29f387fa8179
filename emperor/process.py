"""The process of the daemon: its lock, loop and signals, and the proof before an upgrade."""

import asyncio
import gc
import logging
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from importlib import import_module
from pathlib import Path

from emperor import start
from emperor.config import find_uwsgi, load_settings
from emperor.failure import CannotStart, first_error
from emperor.handover.inherited import Inherited, claim
from emperor.handover.installed import Installed
from emperor.handover.upgrade import Handover
from emperor.linux.cgroup import kill_others, service_group
from emperor.linux.invocation import Invocation
from emperor.linux.limits import raise_open_files
from emperor.linux.lock import RunLock
from emperor.linux.sd_notify import Notifier
from emperor.linux.signals import on_signal
from emperor.linux.socket_owner import owners
from emperor.linux.trust import open_to_others
from emperor.model.daemon_record import keep_fixed_paths
from emperor.model.section import SettingsError
from emperor.model.settings import Settings
from emperor.model.snapshot import FORMAT
from emperor.service import Service, cannot_start
from emperor.sources.files import open_folder
from emperor.uwsgi.defaults import DefaultsFile

log = logging.getLogger("emperord.process")

# By the first request that needs them.
_IMPORTED_LATER = ("emperor.web.exposition", "psutil")


def _make_folder(path: Path) -> None:
    """Raises CannotStart."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotStart(f"cannot make {path}: {error.strerror}") from error


def _refuse_open_folder(folder: Path) -> None:
    """Raises CannotStart for a folder of inis that others can change: they could put another ini in
    the place of root's."""
    with suppress(OSError):  # it may come later
        if place := open_to_others(str(folder)):
            raise CannotStart(open_folder(str(folder), place))


def _prepare_process() -> None:
    """Undo what a parent may have set for this process."""
    raise_open_files()
    # While SIGCHLD is ignored, the kernel keeps no exit status.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Inherited descriptors are not for the vassals.
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if int(name) > 2:
                os.set_inheritable(int(name), False)


async def _serve(settings: Settings, uwsgi: Path, handover: Handover) -> None:
    """Serve until a signal asks to stop; a second signal kills the processes that are left."""
    stop, hurry, upgrade = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def on_stop() -> None:
        (hurry if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number, act in (
        (signal.SIGTERM, on_stop),
        (signal.SIGINT, on_stop),
        (signal.SIGHUP, upgrade.set),
    ):
        on_signal(loop, number, act)
    # Before an exec the earlier version blocks signals, so that none is lost.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # A signal that a thread of this pool took right before an exec would be lost.
    block = (signal.SIG_BLOCK, signal.valid_signals())
    threads = ThreadPoolExecutor(initializer=signal.pthread_sigmask, initargs=block)
    loop.set_default_executor(threads)
    async with asyncio.TaskGroup() as tasks:
        service = Service(settings, uwsgi, handover, tasks, stop)
        await service.run(hurry, upgrade)
        # A task may still wait for uWSGI to read an ini; its result is not needed.
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
    for number in (signal.SIGTERM, signal.SIGINT):
        # All is done: another signal now must not make the exit status a failure.
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)


def prove(config: str | None, flags: dict[str, str], snapshots: int) -> None:
    """Check that this version can replace a daemon whose snapshots have the format `snapshots`.
    Raises CannotStart and SettingsError."""
    for module in _IMPORTED_LATER:
        import_module(module)
    _prove_settings(config, flags)
    if snapshots != FORMAT:
        raise CannotStart(
            f"cannot go on with snapshots of format {snapshots}, only of {FORMAT}; stop the old "
            "version, then start this one"
        )


def _prove_settings(config: str | None, flags: dict[str, str]) -> None:
    """Raises CannotStart and SettingsError."""
    settings = load_settings(config, flags)
    find_uwsgi(settings.uwsgi_binary)
    DefaultsFile(settings.vassal_defaults).load()
    owners(settings)
    if settings.registry_config:
        from emperor.registry.usable_access import usable_access  # noqa: PLC0415

        usable_access(settings.registry_config)
    _refuse_open_folder(settings.vassals_dir)
    _make_folder(settings.log_dir)


def _objection(config: str | None, flags: dict[str, str]) -> str:
    """Why this version cannot start with these settings; empty if it can."""
    try:
        _prove_settings(config, flags)
    except (CannotStart, SettingsError) as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def run(settings: Settings, config: str | None, flags: dict[str, str]) -> None:
    """Start, serve, stop. `config` and `flags` are where the settings come from. Raises
    CannotStart, SettingsError and AlreadyRunning, and whatever else ends a daemon that was
    ready."""
    # What is made until the service has started lives as long as the daemon: see its `_start`.
    gc.disable()
    invocation = Invocation.of_this_process()
    uwsgi = find_uwsgi(settings.uwsgi_binary)
    _refuse_open_folder(settings.vassals_dir)
    _prepare_process()
    with ExitStack() as stack:
        try:
            notifier, inherited, settings = _inherit(stack, settings)
        except OSError as error:
            raise cannot_start(error) from error
        place = os.path.join(invocation.folder, config) if config else None
        objection = partial(_objection, place, flags)
        installed = Installed(invocation.command[0], start.BEGUN)
        handover = Handover(invocation, notifier, inherited, installed, objection)
        try:
            asyncio.run(_serve(settings, uwsgi, handover))
        except ExceptionGroup as error:
            # A task group raises a group, even for an error outside of its tasks.
            cause = first_error(error)
            if isinstance(cause, CannotStart | SettingsError):
                raise cause from error
            raise
        _kill_leftovers()


def _inherit(stack: ExitStack, settings: Settings) -> tuple[Notifier, Inherited, Settings]:
    """Take over what an earlier daemon left, and lock run-dir until the stack ends. Returns the
    settings with the paths of the earlier daemon. Raises OSError, CannotStart, AlreadyRunning."""
    notifier = stack.enter_context(Notifier.from_environment(os.environ))
    inherited = claim(os.environ, notifier)
    settings = _keep_paths(inherited, settings)
    for folder in (settings.run_dir, settings.log_dir):
        _make_folder(folder)
    passed = inherited.pop("lock")
    lock = stack.enter_context(RunLock(settings.run_dir, passed.fd if passed else None))
    inherited.pass_on("lock", lock.fd, is_ours=True)
    if inherited.is_new:
        # A daemon that was killed while it stopped leaves processes, which hold sockets.
        _kill_leftovers()
    return notifier, inherited, settings


def _keep_paths(inherited: Inherited, settings: Settings) -> Settings:
    """The settings with the paths that cannot change while apps run."""
    if inherited.record is None:
        return settings
    settings, unchanged = keep_fixed_paths(inherited.record, settings)
    for setting in unchanged:
        log.warning(
            "cannot set %s: sockets and processes are there; stop emperord, then start it", setting
        )
    return settings


def _kill_leftovers() -> None:
    """Kill every other process in our control group. An app can move a process out of its process
    group, and not out of the control group."""
    try:
        group = service_group(os.environ)
        killed = kill_others(group) if group else 0
    except OSError as error:
        log.warning("cannot kill the processes that are left in our control group: %s", error)
    else:
        if killed:
            log.info("killed %d processes that were left in our control group", killed)
