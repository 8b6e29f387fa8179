"""Examines an ini for `emperorctl check`: whether its app would start, and what works otherwise
than it looks.

uWSGI reads each ini too, up to the moment at which it would begin to act, as the user that the app
will run as.
"""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from emperor.cli.neighbours import Neighbours, Ports
from emperor.cli.programs import Programs, Uwsgi
from emperor.handover.gate import Gate
from emperor.linux.access import FileSystem
from emperor.linux.accounts import SystemAccounts
from emperor.linux.limits import machine, machine_for_limits, somaxconn
from emperor.linux.network import Network
from emperor.linux.trust import closing, open_to_others
from emperor.model.claims import Claims
from emperor.model.definition import BrokenIni, Definition, FileOwner
from emperor.model.domain import LONGEST_DOMAIN, is_domain
from emperor.model.limits import combined
from emperor.model.settings import Settings
from emperor.model.spec import Bases, Identity, Spec, WireProtocol
from emperor.model.wildcard import cure_of_name
from emperor.sources.files import read_ini
from emperor.uwsgi.addresses import (
    awaited_ports,
    closed_ports,
    long_paths,
    unusable_addresses,
)
from emperor.uwsgi.alternatives import without_spared
from emperor.uwsgi.answers import unanswered
from emperor.uwsgi.apps import search_of
from emperor.uwsgi.background import unusable_background
from emperor.uwsgi.capacity import too_many
from emperor.uwsgi.commands import unusable_commands
from emperor.uwsgi.computed import computed_numbers
from emperor.uwsgi.crons import unusable_crons
from emperor.uwsgi.defaults import DefaultsFile
from emperor.uwsgi.findings import Finding, Severity, once
from emperor.uwsgi.homes import home_of, unusable_home
from emperor.uwsgi.identity import ROOT, identity_of, reading_as
from emperor.uwsgi.imports import pointless_imports, unreadable_imports, unusable_imports
from emperor.uwsgi.included import located, numbered
from emperor.uwsgi.ini import LOADERS, Ini
from emperor.uwsgi.jails import unusable_jails
from emperor.uwsgi.lint import lint
from emperor.uwsgi.loaded import missing_file, who_may_change
from emperor.uwsgi.misread import misread_values
from emperor.uwsgi.narrow_limits import narrow_limits
from emperor.uwsgi.paths import unusable_paths
from emperor.uwsgi.places import places
from emperor.uwsgi.plugins import plugins_in_folders, unfound_plugins
from emperor.uwsgi.programs import Where, searched
from emperor.uwsgi.pythons import binary_of, python_home_of
from emperor.uwsgi.reader import UwsgiReader
from emperor.uwsgi.rehearsal import refused_at_start
from emperor.uwsgi.reloads import restarts
from emperor.uwsgi.resolver import CannotResolve, Resolver
from emperor.uwsgi.root_only import split
from emperor.uwsgi.root_paths import led_elsewhere
from emperor.uwsgi.spelling import with_cures
from emperor.uwsgi.unknown import ignored_options, unknown_options
from emperor.uwsgi.urls import unreadable_urls
from emperor.uwsgi.users import (
    Users,
    drops_to_of,
    ignored_users,
    name_of,
    unknown_users,
    unusable_owner,
    users_of,
)
from emperor.uwsgi.values import refused_values, unset_variables
from emperor.uwsgi.variables import odd_variables

FIRST_OPEN_PORT = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The findings about an ini, the socket that it would be served at, and what is spoken there.
    None: it would not be served."""

    path: Path
    findings: tuple[Finding, ...]
    socket: str | None
    protocol: WireProtocol = WireProtocol.UWSGI


@dataclass(frozen=True, slots=True)
class Claim:
    """Whose an ini shall be, and which aliases he may have."""

    owner: FileOwner
    aliases: frozenset[str]


class Examiner:
    """Checks inis one by one, and remembers what each one claims: hosts, sockets and ports.

    An ini is judged as if it were in the folder of vassals of the settings, if there is one.
    """

    def __init__(
        self, settings: Settings, uwsgi: Path, programs: Programs, inis: Collection[Path]
    ) -> None:
        """`inis` will be checked. Raises SettingsError."""
        names = frozenset(path.name for path in inis)
        self._neighbours = Neighbours(settings.vassals_dir, names)
        self._settings = settings
        self._uwsgi = uwsgi
        self._programs = programs
        self._defaults = DefaultsFile(settings.vassal_defaults).load()
        self._somaxconn = somaxconn()
        self._machine = machine()
        self._first_open_port = int(FIRST_OPEN_PORT.read_text(encoding="ascii"))
        self._claims = Claims()
        self._ports = Ports()
        self._files = FileSystem()
        self._network = Network()
        self._accounts = SystemAccounts()
        # emperord runs as root, even if another user runs this command.
        self._accounts.daemon = Identity(ROOT, ROOT, "root")

    async def examine(self, path: Path, claim: Claim | None = None) -> Verdict:
        """The verdict on the ini at the absolute `path`, by that claim instead of the file's."""
        found: list[Finding] = []
        socket, protocol = None, WireProtocol.UWSGI
        try:
            spec = await self._examine(path, claim, found)
            if spec is not None:
                socket, protocol = spec.socket, spec.protocol
        except OSError as error:
            found.append(Finding(0, Severity.ERROR, f"cannot read it: {error.strerror}", ""))
        except BrokenIni as error:
            found.append(_broken(error))
        if _is_broken(found):
            socket = None
        found = once(found)
        findings = tuple(sorted(found, key=lambda finding: finding.line))
        return Verdict(path, findings, socket, protocol)

    async def _examine(self, path: Path, claim: Claim | None, found: list[Finding]) -> Spec | None:
        """Add to `found`, and return the spec, if there is one. Raises OSError and BrokenIni."""
        domain = _domain_of(path.name)
        folder = path.parent.resolve()
        home = self._home(folder)
        settings = replace(self._settings, vassals_dir=home)
        resolver = Resolver(self._uwsgi, folder, Gate())
        reader = UwsgiReader(settings, self._accounts, resolver, self._somaxconn, self._defaults)
        found += _open_folder(folder) if folder == home else ()
        file = read_ini(str(path))
        owner, granted = (claim.owner, claim.aliases) if claim else (file.owner, frozenset[str]())
        definition = Definition(domain, path.name, str(folder), file.data, owner, granted)
        ini = reader.parse(definition)
        binary = binary_of(ini, settings, owner, self._accounts)
        uwsgi = await self._asked(binary, ini)
        found += unknown_options(ini, uwsgi.options)
        start = reading_as(ini, owner, self._accounts, settings) or self._accounts.daemon
        runner = resolver.running(binary)
        if ini.needs_uwsgi:
            ini = resolved = numbered(await reader.resolve(definition, ini))
            start = identity_of(ini, owner, self._accounts, settings) or self._accounts.daemon
            read: Ini | Finding = resolved
        else:
            is_roots = start.uid == os.geteuid() == ROOT
            untrusted = who_may_change(ini, str(folder), ROOT, uwsgi.options) if is_roots else None
            read = await self._dry_reading(runner, ini, start, untrusted)
            resolved = numbered(read if isinstance(read, Ini) else ini)
            ini = numbered(ini, below=-len(resolved.options))
        if isinstance(read, Finding):
            found.append(read)
        try:
            spec = reader.spec(definition, ini)
            found += lint(ini, spec, settings, self._somaxconn)
            found += restarts(ini, spec, settings)
            done, skipped = split(resolved, start)
            found += skipped
            found += await self._judged(done, spec, start, _Place(folder, home, binary, uwsgi))
            found += unset_variables(resolved) if isinstance(read, Ini) else ()
            found += self._conflicts(reader, spec, resolved, folder == home)
            found[:] = without_spared(resolved, found)
            if isinstance(read, Ini) and not _is_broken(found):
                plugins = plugins_in_folders(done)
                found += await refused_at_start(done, plugins, runner, _other(start))
        except BrokenIni as error:
            found.append(_broken(error))
            return None
        finally:
            found[:] = with_cures(found, ini)
            found[:] = await located(found, (ini, resolved), str(folder), _other(start))
        return spec

    async def _judged(
        self, ini: Ini, spec: Spec, start: Identity, place: "_Place"
    ) -> list[Finding]:
        """Findings about the ini as it is resolved, by what there is on this machine."""
        users, home, uwsgi = users_of(ini, start, self._accounts), str(place.home), place.uwsgi
        groups = self._files.groups_of(users.bind)
        found = [
            *_ignored_in_others(ini, uwsgi),
            *refused_values(ini, uwsgi.options, uwsgi.loggers, uwsgi.alarms),
            *unfound_plugins(ini, uwsgi.lacking),
            *misread_values(ini),
            *odd_variables(ini),
            *unknown_users(ini, start, self._accounts),
            *ignored_users(ini, start, self._accounts),
            *led_elsewhere(ini, spec, home, users),
            *unusable_owner(ini, spec, users, self._accounts, groups),
            *self._unusable(ini, spec, home, users, uwsgi.python),
            *_moved_includes(ini, place.folder, place.home),
        ]
        if uwsgi.python:
            found += self._python_home(ini, home, users, uwsgi.python, place.binary)
            is_own = not place.binary and self._settings.python_home is None
            if search := search_of(ini, home, uwsgi.python, is_own):
                found += await unusable_imports(ini, search, users, self._files, uwsgi.python)
        return found

    def _python_home(
        self, ini: Ini, folder: str, users: Users, version: str, binary: str
    ) -> Iterator[Finding]:
        """A finding about a home of another Python. Raises BrokenIni."""
        default = self._settings.python_home
        is_used = python_home_of(ini, self._settings, binary) == str(default)
        home = home_of(ini, folder, default if is_used else None)
        return iter(()) if home is None else unusable_home(home, users.load, self._files, version)

    def _unusable(
        self, ini: Ini, spec: Spec, home: str, users: Users, python: str | None
    ) -> Iterator[Finding]:
        """What uWSGI, which starts in the folder `home`, cannot use on this machine. `python` is
        the version of its Python."""
        yield from unusable_paths(ini, spec, home, users, self._files)
        yield from unusable_commands(ini, home, users, self._files)
        yield from unusable_background(ini, home, users, self._files)
        yield from unusable_crons(ini)
        yield from unreadable_imports(ini, home, users, self._files)
        yield from pointless_imports(ini)
        yield from unusable_jails(ini, home, users, self._files, python)
        yield from computed_numbers(ini, Where(users.start, home, self._files, searched(ini)))
        start = places(ini.last, home).folder
        yield from unreadable_urls(ini, Where(users.load, start, self._files, searched(ini)))
        yield from too_many(ini, spec, self._machine)
        limits = combined(self._settings.limits(), spec.limits, machine_for_limits())
        has_bases = self._settings.bases is not Bases.OFF
        yield from narrow_limits(ini, spec, limits, has_bases=has_bases)
        yield from unanswered(ini, home, users, self._files)
        yield from long_paths(ini, spec)
        yield from closed_ports(ini, users, self._first_open_port)
        yield from unusable_addresses(ini, self._network)
        yield from awaited_ports(ini, self._network)

    def _home(self, folder: Path) -> Path:
        """The folder of vassals, in which uWSGI will start; `folder` where there is none."""
        vassals = self._settings.vassals_dir
        return vassals.resolve() if vassals.is_dir() else folder

    def _conflicts(
        self, reader: UwsgiReader, spec: Spec, ini: Ini, is_there: bool
    ) -> Iterator[Finding]:
        """Conflicts with the inis that were checked before, and with those in the folder of vassals
        that are not checked. These have what they claim, unless this ini is there too, and may have
        it. Raises BrokenIni."""
        yield from self._ports.conflicts(ini)
        self._ports.note(ini)
        severity = Severity.WARNING if is_there else Severity.ERROR
        yield from self._neighbours.conflicts(reader, spec, ini, severity)
        for conflict in self._claims.each(spec):
            if not conflict.is_host:
                raise BrokenIni(conflict.why)
            yield Finding(0, Severity.WARNING, conflict.why, "")
        self._claims.take(self._claims.without_taken(spec))

    async def _asked(self, binary: str, ini: Ini) -> Uwsgi:
        """The uWSGI that the ini chooses, with the plugins that it loads. Raises BrokenIni."""
        try:
            return await self._programs.asked(binary, plugins_in_folders(ini))
        except CannotResolve as error:
            program = binary or self._uwsgi
            raise BrokenIni(f"cannot read the options of {program}: {error}") from error

    async def _dry_reading(
        self, resolver: Resolver, ini: Ini, start: Identity, untrusted: str | None
    ) -> Ini | Finding:
        """The ini as uWSGI resolves it, or why uWSGI cannot be asked or refuses it."""
        try:
            if os.geteuid() not in (ROOT, start.uid):
                raise CannotResolve(f"it runs as {name_of(start)}", "check it as root")
            if untrusted and (missing := missing_file(ini, untrusted)):
                return missing
            if untrusted:
                cause = f"it runs as root, and others than root can change {untrusted}"
                raise CannotResolve(cause, "have root own that, or set uid in [emperor]")
            return await resolver.dry_read(
                ini,
                _other(start),
                has_its_variables=not drops_to_of(ini, start, self._accounts),
            )
        except BrokenIni as error:
            return _broken(error)
        except CannotResolve as error:
            text = f"uWSGI did not read it: {error.cause}"
            return Finding(0, Severity.NOTE, text, error.cure)


@dataclass(frozen=True, slots=True)
class _Place:
    """The folder of the ini, the one in which uWSGI will start, and the uWSGI, with its path if the
    ini chooses it."""

    folder: Path
    home: Path
    binary: str
    uwsgi: Uwsgi


def _other(start: Identity) -> Identity | None:
    """Another user than that of this process, who reads an ini."""
    return None if start.uid == os.geteuid() else start


def _open_folder(folder: Path) -> Iterator[Finding]:
    """An error about a folder of vassals that others can change."""
    if place := open_to_others(str(folder)):
        text = f"others than root can change {place}, so emperord serves no ini of {folder}"
        yield Finding(0, Severity.ERROR, text, closing(place))


def _is_broken(found: Collection[Finding]) -> bool:
    return any(finding.severity is Severity.ERROR for finding in found)


def _ignored_in_others(ini: Ini, uwsgi: Uwsgi) -> Iterator[Finding]:
    """Findings about unknown options of other files."""
    others = replace(ini, options=tuple(each for each in ini.options if each.line < 0))
    keys = {option.key for option in ini.options if option.line > 0}
    for option, found in ignored_options(others, uwsgi.options):
        if option.key not in keys:
            yield found


def _moved_includes(ini: Ini, folder: Path, home: Path) -> Iterator[Finding]:
    """An error for each relative include that is beside a draft, and not in the folder of vassals,
    in which uWSGI starts."""
    for option in ini.options:
        name = option.value.partition(":")[0]
        if folder == home or option.key not in LOADERS or not name or name.startswith("/"):
            continue
        if not (home / name).exists():
            text = f"uWSGI looks for {option.value} in {home}, where it is not"
            cure = f"move it there as well, or write {option.key} = {folder / option.value}"
            yield Finding(option.line, Severity.ERROR, text, cure)


def _broken(error: BrokenIni) -> Finding:
    return Finding(error.line, Severity.ERROR, error.cause, error.cure)


def _domain_of(name: str) -> str:
    domain = name.removesuffix(".ini")
    if domain == name or not is_domain(domain):
        usual = "call it DOMAIN.ini, with a-z, 0-9, _, . and - in DOMAIN and at most"
        cure = cure_of_name(domain) if domain != name else None
        raise BrokenIni("its name is no host name", cure or f"{usual} {LONGEST_DOMAIN} characters")
    return domain
