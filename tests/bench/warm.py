"""Requests to a running app, with emperord and without it: how many in a second, and the CPU time
of each.

Which process the kernel lets run first depends on their control groups, and the bare uWSGI has that
of the benchmark. The CPU time does not.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import psutil

from docs.figures import Limit
from tests.bench.apps import copy_apps, ini
from tests.bench.cpu import cpu_seconds
from tests.bench.knock import http_first_byte
from tests.bench.ours import Ours
from tests.bench.place import place
from tests.bench.report import Row, row
from tests.bench.rivals import Bare, PlainNginx
from tests.bench.rounds import Bench
from tests.bench.wrk import wrk

_DOMAIN = "ours.localhost"
_BARE = "bare.localhost"
_PLAIN = "plain.localhost"
_CONNECTIONS = (1, 16)


def warm(bench: Bench) -> Iterator[Row]:
    """Compare with the same uWSGI behind the same nginx, and behind a plain nginx."""
    with place() as folder, Ours(folder) as ours:
        app = copy_apps(folder)["trivial"]
        ours.add(_DOMAIN, str(app))
        bare_ini, plain_ini = folder / "bare.ini", folder / "plain.ini"
        bare_ini.write_text(ours.ini(_BARE, str(app)))
        plain_ini.write_text(ini(app))
        with (
            PlainNginx(folder, folder / "bare") as plain,
            Bare(bare_ini, ours.listener(_BARE)) as bare,
            Bare(plain_ini, folder / "bare" / f"{_PLAIN}.socket") as behind_plain,
        ):
            for side in (bare, behind_plain):
                side.start()
            ports = {_DOMAIN: ours.port, _BARE: ours.port, _PLAIN: plain.port}
            for domain, port in ports.items():
                http_first_byte(port, domain)
            for connections in _CONNECTIONS:
                yield _row(bench, ports, connections)
            assert bare.pid is not None
            pids = {"ours": ours.leader(_DOMAIN), "uWSGI behind the same nginx": bare.pid}
            yield _cpu_row(bench, ours.port, pids)


def _row(bench: Bench, ports: dict[str, int], connections: int) -> Row:
    sides = {
        name: lambda domain=domain: _rate(ports[domain], domain, connections)
        for name, domain in {
            "ours": _DOMAIN,
            "uWSGI behind the same nginx": _BARE,
            "uWSGI behind a plain nginx": _PLAIN,
        }.items()
    }
    what = f"warm requests, {connections} at once"
    limit = Limit(0.97, at_least=True, over="uWSGI behind the same nginx")
    return row(what, "/s", bench.paired(what, sides), limit)


def _cpu_row(bench: Bench, port: int, masters: dict[str, int]) -> Row:
    nginx = [each for each in psutil.Process().children(recursive=True) if each.name() == "nginx"]
    sides: dict[str, Callable[[], float]] = {}
    for name, domain in zip(masters, (_DOMAIN, _BARE), strict=True):
        master = psutil.Process(masters[name])
        busy = [*nginx, master, *master.children(recursive=True)]
        sides[name] = partial(_cpu_seconds_each, port, domain, busy)
    what = f"CPU of nginx and the app for a warm request, {max(_CONNECTIONS)} at once"
    limit = Limit(1.03, over="uWSGI behind the same nginx")
    return row(what, "µs", bench.paired(what, sides), limit)


def _cpu_seconds_each(port: int, domain: str, busy: Sequence[psutil.Process]) -> float:
    before = sum(map(cpu_seconds, busy))
    requests = wrk(f"http://127.0.0.1:{port}/", domain, max(_CONNECTIONS)).requests
    return (sum(map(cpu_seconds, busy)) - before) / requests


def _rate(port: int, domain: str, connections: int) -> float:
    return wrk(f"http://127.0.0.1:{port}/", domain, connections).rate
