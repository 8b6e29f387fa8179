"""Judges an ini that was read by what there is on this machine: users, files, programs, places for
apps, addresses."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from emperor.cli.programs import Uwsgi
from emperor.linux.access import FileSystem
from emperor.linux.accounts import SystemAccounts
from emperor.linux.limits import machine, machine_for_limits
from emperor.linux.network import Network
from emperor.model.limits import combined
from emperor.model.settings import Settings
from emperor.model.spec import Bases, Spec
from emperor.uwsgi.addresses import awaited_ports, closed_ports, long_paths, unusable_addresses
from emperor.uwsgi.answers import unanswered
from emperor.uwsgi.apps import search_of
from emperor.uwsgi.background import unusable_background
from emperor.uwsgi.capacity import too_many
from emperor.uwsgi.commands import unusable_commands
from emperor.uwsgi.computed import computed_numbers
from emperor.uwsgi.crons import unusable_crons
from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.homes import home_of, unusable_home
from emperor.uwsgi.imports import pointless_imports, unreadable_imports, unusable_imports
from emperor.uwsgi.ini import LOADERS, Ini
from emperor.uwsgi.jails import unusable_jails
from emperor.uwsgi.misread import misread_values
from emperor.uwsgi.narrow_limits import narrow_limits
from emperor.uwsgi.paths import unusable_paths
from emperor.uwsgi.places import places
from emperor.uwsgi.plugins import unfound_plugins
from emperor.uwsgi.programs import Where, searched
from emperor.uwsgi.pythons import python_home_of
from emperor.uwsgi.root_paths import led_elsewhere
from emperor.uwsgi.unknown import ignored_options
from emperor.uwsgi.urls import unreadable_urls
from emperor.uwsgi.users import Users, ignored_users, unknown_users, unusable_owner
from emperor.uwsgi.values import refused_values
from emperor.uwsgi.variables import odd_variables

_FIRST_OPEN_PORT = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


@dataclass(frozen=True, slots=True)
class Case:
    """An ini with its options as uWSGI will see them. It is in `folder`, and uWSGI will start in
    `home`. `binary` is the path of `uwsgi` where the ini chooses it, and else empty."""

    ini: Ini
    spec: Spec
    users: Users
    folder: Path
    home: Path
    uwsgi: Uwsgi
    binary: str


class IniChecks:
    """The checks of one machine, with the settings of its daemon. Each method has those of one
    matter, and raises BrokenIni."""

    def __init__(self, settings: Settings, accounts: SystemAccounts) -> None:
        self._settings = settings
        self._accounts = accounts
        self._machine = machine()
        self._first_open_port = int(_FIRST_OPEN_PORT.read_text(encoding="ascii"))
        self._files = FileSystem()
        self._network = Network()

    async def findings(self, case: Case) -> list[Finding]:
        """All findings."""
        return [
            *self._check_values(case),
            *self._check_users(case),
            *self._check_files(case),
            *self._check_room(case),
            *self._check_addresses(case),
            *_check_includes(case),
            *await self._check_python(case),
        ]

    def _check_values(self, case: Case) -> Iterator[Finding]:
        """What uWSGI ignores, refuses or takes for something else."""
        ini, uwsgi = case.ini, case.uwsgi
        yield from _ignored_in_others(ini, uwsgi)
        yield from refused_values(ini, uwsgi.options, uwsgi.loggers, uwsgi.alarms)
        yield from unfound_plugins(ini, uwsgi.lacking)
        yield from misread_values(ini)
        yield from odd_variables(ini)

    def _check_users(self, case: Case) -> Iterator[Finding]:
        """Users that do not exist, or that the app will not run as."""
        ini, spec, users = case.ini, case.spec, case.users
        yield from unknown_users(ini, users.start, self._accounts)
        yield from ignored_users(ini, users.start, self._accounts)
        yield from led_elsewhere(ini, spec, str(case.home), users)
        groups = self._files.groups_of(users.bind)
        yield from unusable_owner(ini, spec, users, self._accounts, groups)

    def _check_files(self, case: Case) -> Iterator[Finding]:
        """Files, folders and programs that these users cannot use."""
        ini, home, users, files = case.ini, str(case.home), case.users, self._files
        yield from unusable_paths(ini, case.spec, home, users, files)
        yield from unusable_commands(ini, home, users, files)
        yield from unusable_background(ini, home, users, files)
        yield from unusable_crons(ini)
        yield from unreadable_imports(ini, home, users, files)
        yield from pointless_imports(ini)
        yield from unusable_jails(ini, home, users, files, case.uwsgi.python)
        yield from computed_numbers(ini, Where(users.start, home, files, searched(ini)))
        start = places(ini.last, home).folder
        yield from unreadable_urls(ini, Where(users.load, start, files, searched(ini)))

    def _check_room(self, case: Case) -> Iterator[Finding]:
        """What is too much for the machine, or for the limits of the app."""
        yield from too_many(case.ini, case.spec, self._machine)
        limits = combined(self._settings.limits(), case.spec.limits, machine_for_limits())
        has_bases = self._settings.bases is not Bases.OFF
        yield from narrow_limits(case.ini, case.spec, limits, has_bases=has_bases)

    def _check_addresses(self, case: Case) -> Iterator[Finding]:
        """Requests that nobody would answer, and sockets that cannot be bound."""
        ini = case.ini
        yield from unanswered(ini, str(case.home), case.users, self._files)
        yield from long_paths(ini, case.spec)
        yield from closed_ports(ini, case.users, self._first_open_port)
        yield from unusable_addresses(ini, self._network)
        yield from awaited_ports(ini, self._network)

    async def _check_python(self, case: Case) -> list[Finding]:
        """A home of another Python, and modules that the app would not find."""
        ini, users, python = case.ini, case.users, case.uwsgi.python
        if not python:
            return []
        found = [*self._unusable_home(case, python)]
        is_own = not case.binary and self._settings.python_home is None
        if search := search_of(ini, str(case.home), python, is_own):
            found += await unusable_imports(ini, search, users, self._files, python)
        return found

    def _unusable_home(self, case: Case, python: str) -> Iterator[Finding]:
        default = self._settings.python_home
        is_used = python_home_of(case.ini, self._settings, case.binary) == str(default)
        if home := home_of(case.ini, str(case.home), default if is_used else None):
            yield from unusable_home(home, case.users.load, self._files, python)


def _ignored_in_others(ini: Ini, uwsgi: Uwsgi) -> Iterator[Finding]:
    """Findings about unknown options of other files."""
    others = replace(ini, options=tuple(each for each in ini.options if each.line < 0))
    keys = {option.key for option in ini.options if option.line > 0}
    for option, found in ignored_options(others, uwsgi.options):
        if option.key not in keys:
            yield found


def _check_includes(case: Case) -> Iterator[Finding]:
    """An error for each relative include that is beside a draft, and not in the folder of vassals,
    in which uWSGI starts."""
    folder, home = case.folder, case.home
    for option in case.ini.options:
        name = option.value.partition(":")[0]
        if folder == home or option.key not in LOADERS or not name or name.startswith("/"):
            continue
        if not (home / name).exists():
            text = f"uWSGI looks for {option.value} in {home}, where it is not"
            cure = f"move it there as well, or write {option.key} = {folder / option.value}"
            yield Finding(option.line, Severity.ERROR, text, cure)
