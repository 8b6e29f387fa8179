"""Examines an ini for `emperorctl check`: whether its app would start, and what works otherwise
than it looks.

uWSGI reads each ini too, up to the moment at which it would begin to act, as the user that the app
will run as.
"""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from emperor.cli.ini_checks import Case, IniChecks
from emperor.cli.neighbours import Neighbours, Ports
from emperor.cli.programs import Programs, Uwsgi
from emperor.handover.gate import Gate
from emperor.linux.accounts import SystemAccounts
from emperor.linux.limits import somaxconn
from emperor.linux.trust import closing, open_to_others
from emperor.model.claims import Claims
from emperor.model.definition import BrokenIni, Definition, FileOwner
from emperor.model.domain import LONGEST_DOMAIN, is_domain
from emperor.model.settings import Settings
from emperor.model.spec import Identity, Spec, WireProtocol
from emperor.model.wildcard import cure_of_name
from emperor.sources.files import read_ini
from emperor.uwsgi.alternatives import without_spared
from emperor.uwsgi.defaults import DefaultsFile
from emperor.uwsgi.findings import Finding, Severity, once
from emperor.uwsgi.identity import ROOT, identity_of, reading_as
from emperor.uwsgi.included import located, numbered
from emperor.uwsgi.ini import Ini
from emperor.uwsgi.lint import lint
from emperor.uwsgi.loaded import missing_file, who_may_change
from emperor.uwsgi.plugins import plugins_in_folders
from emperor.uwsgi.pythons import binary_of
from emperor.uwsgi.reader import UwsgiReader
from emperor.uwsgi.rehearsal import refused_at_start
from emperor.uwsgi.reloads import restarts
from emperor.uwsgi.resolver import CannotResolve, Resolver
from emperor.uwsgi.root_only import split
from emperor.uwsgi.spelling import with_cures
from emperor.uwsgi.unknown import unknown_options
from emperor.uwsgi.users import drops_to_of, name_of, users_of
from emperor.uwsgi.values import unset_variables


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
        self._claims = Claims()
        self._ports = Ports()
        self._accounts = SystemAccounts()
        # emperord runs as root, even if another user runs this command.
        self._accounts.daemon = Identity(ROOT, ROOT, "root")
        self._checks = IniChecks(settings, self._accounts)

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
        domain, folder = _domain_of(path.name), path.parent.resolve()
        settings = replace(self._settings, vassals_dir=self._home(folder))
        resolver = Resolver(self._uwsgi, folder, Gate())
        reader = UwsgiReader(settings, self._accounts, resolver, self._somaxconn, self._defaults)
        found += _open_folder(folder) if folder == settings.vassals_dir else ()
        file = read_ini(str(path))
        owner, granted = (claim.owner, claim.aliases) if claim else (file.owner, frozenset[str]())
        definition = Definition(domain, path.name, str(folder), file.data, owner, granted)
        ini = reader.parse(definition)
        binary = binary_of(ini, settings, owner, self._accounts)
        uwsgi = await self._asked(binary, ini)
        found += unknown_options(ini, uwsgi.options)
        draft = _Draft(definition, settings, reader, resolver.running(binary), binary, uwsgi)
        read = await self._read(draft, ini)
        if read.problem:
            found.append(read.problem)
        try:
            return await self._judge(draft, read, found)
        except BrokenIni as error:
            found.append(_broken(error))
            return None
        finally:
            found[:] = with_cures(found, read.ini)
            inis = read.ini, read.resolved
            found[:] = await located(found, inis, str(folder), _other(read.start))

    async def _read(self, draft: "_Draft", ini: Ini) -> "_Reading":
        """Have uWSGI resolve the options, if it can be asked. Raises BrokenIni."""
        owner, settings, accounts = draft.definition.owner, draft.settings, self._accounts
        start = reading_as(ini, owner, accounts, settings) or accounts.daemon
        if ini.needs_uwsgi:
            ini = numbered(await draft.reader.resolve(draft.definition, ini))
            start = identity_of(ini, owner, accounts, settings) or accounts.daemon
            return _Reading(ini, ini, start)
        untrusted = None
        if start.uid == os.geteuid() == ROOT:
            folder, options = draft.definition.folder, draft.uwsgi.options
            untrusted = who_may_change(ini, folder, ROOT, options)
        read = await self._dry_reading(draft.runner, ini, start, untrusted)
        problem = read if isinstance(read, Finding) else None
        resolved = numbered(ini if isinstance(read, Finding) else read)
        return _Reading(numbered(ini, below=-len(resolved.options)), resolved, start, problem)

    async def _judge(self, draft: "_Draft", read: "_Reading", found: list[Finding]) -> Spec:
        """Add to `found` what does not work of an ini that was read. Raises BrokenIni."""
        settings, start = draft.settings, read.start
        spec = draft.reader.spec(draft.definition, read.ini)
        found += lint(read.ini, spec, settings, self._somaxconn)
        found += restarts(read.ini, spec, settings)
        done, skipped = split(read.resolved, start)
        found += skipped
        users, folder = users_of(done, start, self._accounts), Path(draft.definition.folder)
        case = Case(done, spec, users, folder, settings.vassals_dir, draft.uwsgi, draft.binary)
        found += await self._checks.findings(case)
        found += () if read.problem else unset_variables(read.resolved)
        is_there = folder == settings.vassals_dir
        found += self._conflicts(draft.reader, spec, read.resolved, is_there)
        found[:] = without_spared(read.resolved, found)
        if not read.problem and not _is_broken(found):
            plugins = plugins_in_folders(done)
            found += await refused_at_start(done, plugins, draft.runner, _other(start))
        return spec

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
class _Draft:
    """An ini that is examined, and by what it is read. `binary` is the path of `uwsgi` where the
    ini chooses it, and else empty."""

    definition: Definition
    settings: Settings
    reader: UwsgiReader
    runner: Resolver
    binary: str
    uwsgi: Uwsgi


@dataclass(frozen=True, slots=True)
class _Reading:
    """What reading an ini has come to. A spec is made of `ini`. `resolved` has the options as uWSGI
    resolves them, which begins as `start`. `problem` is why it did not resolve them: then they are
    as they are written."""

    ini: Ini
    resolved: Ini
    start: Identity
    problem: Finding | None = None


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


def _broken(error: BrokenIni) -> Finding:
    return Finding(error.line, Severity.ERROR, error.cause, error.cure)


def _domain_of(name: str) -> str:
    domain = name.removesuffix(".ini")
    if domain == name or not is_domain(domain):
        usual = "call it DOMAIN.ini, with a-z, 0-9, _, . and - in DOMAIN and at most"
        cure = cure_of_name(domain) if domain != name else None
        raise BrokenIni("its name is no host name", cure or f"{usual} {LONGEST_DOMAIN} characters")
    return domain
