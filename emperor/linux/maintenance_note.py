"""The file that keeps which domains are in maintenance, over restarts of the daemon and reboots.

It has a line for each domain: the domain, and when its maintenance began. systemd names a folder
that outlasts reboots (StateDirectory= of the unit); without one it is in run-dir.
"""

import logging
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from emperor.linux.kept_file import read_kept, remove_kept, replace_kept
from emperor.linux.state_dir import state_dir
from emperor.model.domain import is_domain

log = logging.getLogger("emperord.maintenance_note")

_MOST_BYTES = 1 << 24
_NAME = "maintenance"


class MaintenanceFile:
    """The file `maintenance` of a folder. A daemon whose unit named no folder, before an upgrade
    for instance, has left it in the folder `earlier`."""

    def __init__(self, folder: Path, earlier: Path | None = None) -> None:
        self._path = folder / _NAME
        self._earlier = earlier / _NAME if earlier and earlier != folder else None

    def read(self) -> dict[str, datetime]:
        """Each domain with when its maintenance began. What cannot be read is logged."""
        return (_domains(self._earlier) if self._earlier else {}) | _domains(self._path)

    def write(self, domains: Mapping[str, datetime]) -> None:
        """Replace the file, so that it outlasts a loss of power. Raises OSError."""
        if domains:
            lines = "".join(f"{d} {since.isoformat()}\n" for d, since in domains.items())
            replace_kept(self._path, lines.encode("ascii"))
        else:
            remove_kept(self._path)
        if self._earlier:
            remove_kept(self._earlier)


def maintenance_file(environ: Mapping[str, str], run_dir: Path) -> MaintenanceFile:
    """The file in that folder."""
    return MaintenanceFile(state_dir(environ, run_dir), earlier=run_dir)


def _domains(path: Path) -> dict[str, datetime]:
    try:
        lines = read_kept(path, _MOST_BYTES).decode("ascii").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        log.error(
            "cannot read %s: %s; run `emperorctl maintenance DOMAIN on` for each site that should"
            " be in maintenance",
            path, why,
        )  # fmt: skip
        return {}
    domains = dict(map(_parsed, filter(None, lines)))
    if damaged := sum(since is None for since in domains.values()):
        log.error("cannot use %d lines of %s: they are damaged", damaged, path)
    return {domain: since for domain, since in domains.items() if since is not None}


def _parsed(line: str) -> tuple[str, datetime | None]:
    domain, _, text = line.partition(" ")
    try:
        since = datetime.fromisoformat(text)
    except ValueError:
        return domain, None
    return domain, since if is_domain(domain) and since.tzinfo is not None else None
