"""Looks at a machine for `emperorctl doctor`: files, accounts, the kernel, nginx, the unit, the
daemon. Changes nothing."""

import asyncio
import grp
import os
import pwd
import resource
import stat
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from emperor import __version__
from emperor.cli.client import connect
from emperor.cli.failure import Failed
from emperor.cli.records import parse as parse_record
from emperor.cli.survey_disks import lacking
from emperor.cli.survey_groups import cannot_yield, controllers
from emperor.config import DEFAULT_CONFIG
from emperor.linux.accounts import SystemAccounts
from emperor.linux.trust import others_may_write, who_may_turn
from emperor.model.checkup import PROPERTIES, PROPERTIES_OF_APPS, SYSCTLS
from emperor.model.definition import BrokenIni
from emperor.model.nginx_conf import nginx_facts, refusal
from emperor.model.section import SettingsError
from emperor.model.settings import Settings
from emperor.model.spec import Identity
from emperor.model.status import EmperorStatus, Report
from emperor.model.survey import (
    Agent,
    CheckedPath,
    CheckedSocket,
    IniFile,
    NginxFacts,
    Service,
    Survey,
    Value,
)
from emperor.registry.access import load_access
from emperor.sources.files import read_ini
from emperor.uwsgi.emperor_section import overridden
from emperor.uwsgi.identity import ROOT, identity_of
from emperor.uwsgi.ini import parse
from emperor.uwsgi.users import users_of

_STATE = Path("/var/lib/emperord")
_CONSOLE = Path("/run/emperord-console.sock")
_SECONDS = 20.0


def survey_of(run_dir: Path, settings: Settings, uwsgi: Path) -> Survey:
    """All that this user can see."""
    status = _status(run_dir)
    return Survey(
        settings=settings,
        version=__version__,
        paths=(*_paths(settings, DEFAULT_CONFIG, uwsgi), *_of_registry(settings)),
        sockets=tuple(_sockets(run_dir)),
        inis=tuple(_inis(settings)),
        sysctls=tuple(_sysctls()),
        members=_members_of(settings.socket_group),
        operators=_members_of(settings.control_group),
        nginx=_nginx(),
        unit=tuple(_unit()),
        service=_service(status) if status else None,
        uwsgi_version=_uwsgi_version(uwsgi),
        controllers=controllers(run_dir, status.pid if status else None),
        swap_bytes=_swap_bytes(),
        agent=_agent(),
        cannot_yield=cannot_yield(),
        apps_unit=tuple(_apps_unit()),
        lacking=lacking(settings.log_dir, run_dir),
        has_python=_has_python(uwsgi, settings.vassal_defaults),
        nginx_oom_score=_nginx_oom_score(status.pid if status else None),
    )


def _inis(settings: Settings) -> Iterator[IniFile]:
    """The inis that this user can see. What they say is left to `check`."""
    accounts, folder = SystemAccounts(), settings.vassals_dir
    accounts.daemon = Identity(ROOT, ROOT, "root")
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".ini")
    except OSError:
        return
    for path in paths:
        try:
            info = path.stat()
            user, start_timeout = _app(path, accounts, settings)
        except OSError:
            continue
        yield IniFile(path.name, user, others_may_write(info, path), start_timeout)


def _app(
    path: Path, accounts: SystemAccounts, settings: Settings
) -> tuple[str | None, float | None]:
    """The user that the app runs as, None if the ini does not tell without uWSGI; and how long it
    may take to start, None for an ini that is not served."""
    try:
        file = read_ini(str(path))
        ini = parse(file.data, path.name, str(path.parent))
        identity = identity_of(ini, file.owner, accounts, settings)
        start_timeout = overridden(settings, ini, file.owner.uid == ROOT).start_timeout
    except BrokenIni:
        return None, None
    if ini.needs_uwsgi is not None and identity is None:
        return None, start_timeout
    return users_of(ini, identity or accounts.daemon, accounts).serve.user, start_timeout


def _status(run_dir: Path) -> EmperorStatus | None:
    """What the daemon says of itself; None if it does not answer."""
    if not (run_dir / "control.sock").exists():
        return None
    try:
        return asyncio.run(_ask(run_dir))
    except Failed:
        return None


def _service(status: EmperorStatus) -> Service | None:
    files = _open_files_of(status.pid)
    return None if files is None else Service(status.version, files, _fleet_problem(status))


def _fleet_problem(status: EmperorStatus) -> str:
    """What separates the daemon from its fleet; empty for nothing, and where there is none."""
    registry, membership = status.registry, status.membership
    if registry is not None and registry.why is not None:
        return f"the registry of the fleet is not reached: {registry.why}"
    if membership is not None and membership.why is not None:
        return f"this machine is not confirmed as a backend of the fleet: {membership.why}"
    return ""


async def _ask(run_dir: Path) -> EmperorStatus:
    async with connect(run_dir) as client:
        return parse_record(Report, await client.status()).emperor


def _paths(settings: Settings, config: str, uwsgi: Path) -> Iterator[CheckedPath]:
    """emperord's files and folders, as far as they are there."""
    roles = (
        (settings.vassals_dir, "the folder of inis"),
        (Path(config), "the settings"),
        (settings.vassal_defaults, "the defaults of all inis"),
        (settings.sockets_dir, "the folder of sockets"),
        (settings.run_dir, "the run-dir"),
        (settings.log_dir, "the folder of logs"),
        (settings.pages_dir, "the folder of pages"),
        (uwsgi, "uWSGI"),
        *((python.binary, f"the uWSGI of Python {python.name}") for python in settings.pythons),
        *((Path(word), "provision-command") for word in settings.provision_command[:1]),
        (Path("/etc/nginx/emperord"), "what nginx includes"),
        (_STATE, "what emperord keeps over a reboot"),
    )
    secrets = (
        (settings.run_dir / "emperord.lock", "the lock, and so can keep emperord from starting"),
        (_STATE / "history.db", "what visitors have asked for"),
    )
    for path, role in roles:
        with suppress(OSError):
            if path is not None:
                yield _checked(str(path), role)
    for path, role in secrets:
        with suppress(OSError):
            yield _checked(str(path), role, is_secret=True)


def _of_registry(settings: Settings) -> Iterator[CheckedPath]:
    """What opens the registry of the fleet, or says whose entries are taken."""
    file = settings.registry_config
    if file is None:
        return
    with suppress(OSError):
        yield _checked(str(file), "how the registry is reached")
    try:
        access = load_access(file)
    except SettingsError:
        return
    for path, role, is_secret in (
        (access.ca_file, "which members of the registry are believed", False),
        (access.signers_file, "whose entries of the registry are taken", False),
        (access.key_file, "the key to the registry", True),
        (access.password_file, "the password of the registry", True),
        (access.signer_key_file, "the key that signs entries of the registry", True),
    ):
        with suppress(OSError):
            if path is not None:
                yield _checked(str(path), role, is_secret)


def _checked(path: str, role: str, is_secret: bool = False) -> CheckedPath:
    info = os.stat(path)
    changer = who_may_turn(path, ROOT) or ""
    if not changer and (info.st_uid != ROOT or others_may_write(info, path)):
        changer = path
    is_reached = all(each.stat().st_mode & stat.S_IXOTH for each in Path(path).resolve().parents)
    is_open = bool(info.st_mode & stat.S_IROTH) and is_reached
    return CheckedPath(path, role, changer, is_open, is_secret)


def _sockets(run_dir: Path) -> Iterator[CheckedSocket]:
    """The sockets that are for nginx alone, as far as they are there."""
    for path, gain, unit in (
        (run_dir / "activate.sock", "start every app, under any address", "emperord.socket"),
        (_CONSOLE, "give every order, under any name", "emperord-console.socket"),
    ):
        with suppress(OSError):
            is_open = bool(path.stat().st_mode & stat.S_IWOTH)
            yield CheckedSocket(str(path), gain, unit, is_open)


def _sysctls() -> Iterator[Value]:
    """The sysctls that matter, as far as this kernel has them."""
    for name in SYSCTLS:
        with suppress(OSError):
            text = Path("/proc/sys", *name.split(".")).read_text(encoding="ascii")
            yield Value(name, text.strip())


def _members_of(group: str) -> Sequence[str]:
    """The users in a group, also those whose primary group it is."""
    try:
        entry = grp.getgrnam(group)
    except KeyError:
        return ()
    primary = [user.pw_name for user in pwd.getpwall() if user.pw_gid == entry.gr_gid]
    return tuple(dict.fromkeys([*primary, *entry.gr_mem]))


def _nginx() -> NginxFacts | None:
    """nginx's configuration; None without nginx, and for users who may not read it."""
    done = _run("nginx", "-T", "-e", "stderr")
    if done is None:
        return None
    if done.returncode == 0:
        return nginx_facts(done.stdout)
    if os.geteuid() != ROOT:
        return None
    return NginxFacts(refusal(done.stderr))


def _agent() -> Agent | None:
    """The agent of a load balancer; None where it is not enabled."""
    if not _is("enabled", "emperord-balancer.service"):
        return None
    is_alone = not _is("enabled", "emperord.service")
    return Agent(_is("active", "emperord-balancer.service"), is_alone)


def _is(state: str, unit: str) -> bool:
    """Whether systemd has a unit enabled, or active."""
    done = _run("systemctl", f"is-{state}", "--quiet", unit)
    return done is not None and done.returncode == 0


def _nginx_oom_score(daemon: int | None) -> int | None:
    """What is added to the score of nginx; None where systemd runs none."""
    shown = _shown("nginx.service", ("MainPID", "OOMScoreAdjust"))
    if shown.get("MainPID", "0") == "0":
        return None
    now, of_daemon = _oom_score(shown["MainPID"]), _oom_score(daemon)
    # In some containers no process can be protected, whatever its unit says.
    can_be = now is not None and of_daemon is not None and of_daemon < 0
    return now if can_be else int(shown["OOMScoreAdjust"])


def _oom_score(pid: int | str | None) -> int | None:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/oom_score_adj").read_text(encoding="ascii"))
    return None


def _shown(unit: str, properties: Iterable[str]) -> dict[str, str]:
    """Properties of a unit, none where systemd does not run it."""
    # Without --all it leaves out what is empty.
    done = _run("systemctl", "show", "--all", "--property", ",".join(properties), unit)
    if done is None or done.returncode or not Path("/run/systemd/system").is_dir():
        return {}
    values = (line.partition("=") for line in done.stdout.splitlines())
    return {name: text for name, _, text in values}


def _unit() -> Iterable[Value]:
    """Properties of emperord.service, none where systemd does not run it."""
    return [Value(*each) for each in _shown("emperord.service", PROPERTIES).items()]


def _apps_unit() -> Iterable[Value]:
    """Properties of emperord-apps.service, which only a daemon that systemd runs needs."""
    if not _is("active", "emperord.service"):
        return ()
    return [Value(*each) for each in _shown("emperord-apps.service", PROPERTIES_OF_APPS).items()]


def _uwsgi_version(uwsgi: Path) -> str:
    """The version of this uWSGI, empty if it does not run."""
    done = _run(str(uwsgi), "--version")
    return done.stdout.strip() if done and done.returncode == 0 else ""


def _has_python(uwsgi: Path, defaults: Path | None) -> bool:
    """Whether this uWSGI knows Python's options, or the defaults of all inis load a plugin."""
    done = _run(str(uwsgi), "--help")
    if done is None or "--wsgi-file" in done.stdout:
        return True
    with suppress(OSError):
        return defaults is not None and "plugin" in defaults.read_text(errors="replace")
    return False


def _open_files_of(pid: int) -> int | None:
    """How many open files a process may have; None if this user may not see that."""
    try:
        return resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]
    except OSError:
        return None


def _swap_bytes() -> int:
    """The size of the swap."""
    return int(psutil.swap_memory().total)


def _run(*command: str) -> "subprocess.CompletedProcess[str] | None":
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            check=False, timeout=_SECONDS,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
