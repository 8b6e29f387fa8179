"""`emperorctl check`: reads an ini as emperord and uWSGI would, and prints what will not work.

It needs no daemon and starts no app. uWSGI resolves the inis that emperord cannot read by itself.
"""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

import click
from rich.text import Text

from emperor.cli.console import show, terminal
from emperor.cli.failure import Failed
from emperor.cli.text import one_line, plain
from emperor.config import find_uwsgi, load_settings
from emperor.handover.gate import Gate
from emperor.linux.accounts import SystemAccounts
from emperor.model.claims import Claims
from emperor.model.definition import BrokenIni, Definition
from emperor.model.domain import LONGEST_DOMAIN, is_domain
from emperor.model.settings import Settings, SettingsError
from emperor.model.spec import Identity, Spec
from emperor.sources.files import read_ini
from emperor.uwsgi.identity import ROOT
from emperor.uwsgi.lint import Finding, Severity, lint, unknown_options
from emperor.uwsgi.paths import missing_paths
from emperor.uwsgi.reader import UwsgiReader
from emperor.uwsgi.resolver import CannotResolve, Resolver

SOMAXCONN = Path("/proc/sys/net/core/somaxconn")
STYLE = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The findings about an ini, and the socket that it would be served at. None: it would not be
    served."""

    path: Path
    findings: tuple[Finding, ...]
    socket: str | None


class Examiner:
    """Checks inis one by one, and remembers the hosts and sockets that each one claims.

    It takes the folder of an ini for the folder of vassals. `known` are the options of `uwsgi`.
    """

    def __init__(self, settings: Settings, uwsgi: Path, known: frozenset[str]) -> None:
        self._settings = settings
        self._uwsgi = uwsgi
        self._known = known
        self._somaxconn = int(SOMAXCONN.read_text(encoding="ascii"))
        self._claims = Claims()
        self._accounts = SystemAccounts()
        # emperord runs as root, even if another user runs this command.
        self._accounts.daemon = Identity(ROOT, ROOT, "root")

    async def examine(self, path: Path) -> Verdict:
        """The verdict on one ini."""
        found: list[Finding] = []
        socket = None
        try:
            socket = await self._examine(path, found)
        except OSError as error:
            found.append(Finding(0, Severity.ERROR, f"cannot read it: {error.strerror}", ""))
        except BrokenIni as error:
            found.append(Finding(error.line, Severity.ERROR, error.cause, error.cure))
        if any(finding.severity is Severity.ERROR for finding in found):
            socket = None
        return Verdict(path, tuple(sorted(found, key=lambda finding: finding.line)), socket)

    async def _examine(self, path: Path, found: list[Finding]) -> str:
        """Add to `found`, and return the socket. Raises OSError and BrokenIni."""
        domain = _domain_of(path.name)
        folder = path.parent.resolve()
        settings = replace(self._settings, vassals_dir=folder)
        reader = UwsgiReader(settings, self._accounts, Resolver(self._uwsgi, folder, Gate()))
        file = read_ini(str(path))
        definition = Definition(domain, path.name, str(folder), file.data, file.owner)
        ini = reader.parse(definition)
        found += unknown_options(ini, self._known)
        if ini.needs_uwsgi:
            ini = await reader.resolve(definition, ini)
        spec = reader.spec(definition, ini)
        found += lint(ini, spec, settings, self._somaxconn)
        found += missing_paths(ini, spec, definition.folder)
        self._claim(spec)
        return spec.socket

    def _claim(self, spec: Spec) -> None:
        if conflict := self._claims.conflict(spec):
            raise BrokenIni(conflict)
        self._claims.take(spec)


def _domain_of(name: str) -> str:
    domain = name.removesuffix(".ini")
    if domain == name or not is_domain(domain):
        raise BrokenIni(
            "its name is no host name",
            "call it DOMAIN.ini, with a-z, 0-9, _, . and - in DOMAIN and at most"
            f" {LONGEST_DOMAIN} characters",
        )
    return domain


def lines(verdict: Verdict) -> list[Text]:
    """One line for each finding, and one with the socket that the ini would be served at."""
    path = plain(str(verdict.path))
    printed = []
    for finding in verdict.findings:
        place = f"{path}:{finding.line}" if finding.line else path
        cure = f"; {one_line(finding.cure)}" if finding.cure else ""
        severity = (finding.severity.value, STYLE[finding.severity])
        printed.append(Text.assemble(f"{place}: ", severity, f": {one_line(finding.text)}{cure}"))
    if verdict.socket is not None:
        printed.append(Text(f"{path}: would be served at {plain(verdict.socket)}"))
    return printed


@click.command()
@click.argument(
    "inis", metavar="INI...", nargs=-1, required=True, type=click.Path(path_type=Path)
)  # fmt: skip
@click.option(
    "--config", metavar="FILE",
    help="emperord's settings.  [default: /etc/uwsgi/emperord.ini, if it is there]",
)  # fmt: skip
@click.option(
    "--sockets-dir",
    metavar="DIR",
    help="The folder of the sockets, instead of the one in the settings.",
)
def check(inis: tuple[Path, ...], config: str | None, sockets_dir: str | None) -> None:
    """Print what in each INI does not work, or works otherwise than it looks.

    Each line reads FILE:LINE: severity: cause; cure. An INI with an error is not served, and the
    exit status is 1. Check an ini before you move it into the folder of vassals.
    """
    try:
        settings = load_settings(
            config, {} if sockets_dir is None else {"sockets-dir": sockets_dir}
        )
        uwsgi = find_uwsgi(settings.uwsgi_binary)
        verdicts = asyncio.run(_check(inis, settings, uwsgi))
    except SettingsError as error:
        raise Failed(str(error)) from error
    except CannotResolve as error:
        raise Failed(f"cannot read the options of {uwsgi}: {error}") from error
    console = terminal()
    for verdict in verdicts:
        show(console, lines(verdict))
    if broken := [str(verdict.path) for verdict in verdicts if verdict.socket is None]:
        raise Failed(f"cannot serve {', '.join(broken)}")


async def _check(inis: tuple[Path, ...], settings: Settings, uwsgi: Path) -> list[Verdict]:
    known = await Resolver(uwsgi, Path("/"), Gate()).options()
    if "socket" not in known:
        raise CannotResolve("it has no option `socket`, so it is no uWSGI")
    examiner = Examiner(settings, uwsgi, known)
    return [await examiner.examine(path) for path in inis]
