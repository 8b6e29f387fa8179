"""The inis in the folder of vassals beside those that are checked, and what they claim: hosts,
sockets and ports."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from emperor.model.claims import Claims
from emperor.model.definition import BrokenIni, Definition
from emperor.model.domain import is_domain
from emperor.model.spec import Spec
from emperor.sources.files import read_ini
from emperor.uwsgi.addresses import Address, addresses
from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.ini import Ini
from emperor.uwsgi.reader import UwsgiReader


class Ports:
    """The addresses with a port that some inis have uWSGI bind."""

    def __init__(self) -> None:
        self._taken: dict[int, list[tuple[Address, str]]] = {}

    def conflicts(self, ini: Ini) -> Iterator[Finding]:
        """An error for each address of `ini` that an ini noted here has."""
        for address in addresses(ini):
            for other, holder in self._taken.get(address.port, ()):
                if address.excludes(other):
                    text = f"{address.key} = {address.text} excludes {other.key} = {other.text}"
                    text += f" of {holder}: only one of the two apps can start"
                    yield Finding(address.line, Severity.ERROR, text, "change one of the two")

    def note(self, ini: Ini) -> None:
        """Note the addresses of `ini`."""
        for address in addresses(ini):
            self._taken.setdefault(address.port, []).append((address, ini.name))


class Neighbours:
    """The inis of the folder `vassals` but those named `checked`, as far as they can be read
    without uWSGI. They are read once, and a look at them takes the same time for any number."""

    def __init__(self, vassals: Path, checked: frozenset[str]) -> None:
        self._vassals = vassals
        self._checked = checked
        self._claims: Claims | None = None
        self._ports = Ports()

    def conflicts(
        self, reader: UwsgiReader, spec: Spec, ini: Ini, severity: Severity
    ) -> Iterator[Finding]:
        """What the ini claims, and a neighbour has. `reader` reads the neighbours."""
        if self._claims is None:
            self._claims = self._read(reader)
        for conflict in self._claims.each(spec):
            # It costs an alias, and both inis are served.
            kind = Severity.WARNING if conflict.is_host else severity
            yield Finding(0, kind, conflict.why, "")
        yield from (replace(found, severity=severity) for found in self._ports.conflicts(ini))

    def _read(self, reader: UwsgiReader) -> Claims:
        claims = Claims()
        folder = str(self._vassals.resolve())
        paths = sorted(self._vassals.glob("*.ini")) if self._vassals.is_dir() else []
        for path in paths:
            domain = path.name.removesuffix(".ini")
            if path.name in self._checked or not is_domain(domain):
                continue
            with suppress(OSError, BrokenIni):
                file = read_ini(str(path))
                definition = Definition(domain, path.name, folder, file.data, file.owner)
                ini = reader.parse(definition)
                if not ini.needs_uwsgi:
                    spec = reader.spec(definition, ini)
                    # Whoever came first keeps what two of them claim.
                    if claims.conflict(spec) is None:
                        claims.take(spec)
                    self._ports.note(ini)
        return claims
