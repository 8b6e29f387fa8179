"""A cold start of Django whose code its user may not write to, with and without byte code."""

import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from tests.backend import Daemon
from tests.bench.apps import copy_apps
from tests.bench.knock import uwsgi_first_byte
from tests.bench.ours import Ours
from tests.bench.place import place
from tests.bench.report import Row, row
from tests.bench.rounds import Bench
from tests.eventually import eventually

_PACKAGES = ("django", "asgiref", "sqlparse")


def byte_code(bench: Bench) -> Iterator[Row]:
    """Measure the app of an ini that was dropped into the folder a while ago, and the same app
    with `byte-compile = false`. The second one's own Python writes no
    byte code either."""
    with place() as folder, Ours(folder) as ours:
        app = copy_apps(folder)["Django"]
        sides = {"ours": "compiled.localhost", "without byte code": "plain.localhost"}
        for domain in sides.values():
            packages = _copied(folder / domain)
            ours.drop(domain, _ini(ours, domain, app, packages, "plain" not in domain))
        done = "compiled.localhost: byte-compiled [0-9]{3,} files"
        eventually(lambda: ours.lines(done), alive=[ours.process], seconds=120)
        what = "cold start, Django that its user may not write to"
        starts = {name: lambda d=domain: _start(ours, d) for name, domain in sides.items()}
        yield row(what, "ms", bench.paired(what, starts))


def _copied(folder: Path) -> Path:
    """The packages of Django without byte code."""
    installed = Path(sysconfig.get_path("purelib"))
    for name in _PACKAGES:
        shutil.copytree(
            installed / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    return folder


def _ini(ours: Ours, domain: str, app: Path, packages: Path, is_compiled: bool) -> str:
    text = Daemon.ini(ours, domain, str(app), pythonpath=str(packages))
    # Root, as whom the app runs here, may write anywhere.
    without = "env = PYTHONDONTWRITEBYTECODE=1\n[emperor]\nbyte-compile = false\n"
    return text if is_compiled else text + without


def _start(ours: Ours, domain: str) -> float:
    took = uwsgi_first_byte(ours.listener(domain), domain)
    ours.park(domain)
    return took
