"""What the registry costs a first hit, and how soon a change of it is in use everywhere."""

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from http.client import HTTPConnection
from itertools import count
from pathlib import Path

from docs.figures import Limit
from emperor.model.registration import RegisteredIni, Sealed, encoded
from emperor.model.registry_keys import Keys
from emperor.registry.etcd import Etcd
from tests.backend import with_state
from tests.bench.knock import http_first_byte
from tests.bench.ours import Ours
from tests.bench.place import place
from tests.bench.report import Row, row
from tests.bench.rounds import ROUNDS, Bench
from tests.etcd_cluster import EtcdCluster, etcd_cluster
from tests.eventually import eventually

_KEYS = Keys("/emperord")
_OWNER = "games"
_BACKENDS = 3
_PAIRS = 4 * ROUNDS
_APP = """\
import os

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [os.environ["VERSION"].encode()]
"""
_LONGEST_SECONDS = 30.0
# Between two looks at whether a change is in use.
_STEP_SECONDS = 0.005


def pull(bench: Bench) -> Iterator[Row]:
    """Measure on one backend, and on three."""
    with place() as folder, etcd_cluster() as cluster, ExitStack() as stack:
        backends = [_backend(folder / str(number), cluster) for number in range(_BACKENDS)]
        for backend in backends:
            stack.enter_context(backend)
        app = folder / "app.py"
        app.write_text(_APP)
        app.chmod(0o644)
        yield from _first_hits(bench, cluster, backends[0], app)
        yield _change(bench, cluster, backends, app)


def _backend(folder: Path, cluster: EtcdCluster) -> Ours:
    folder.mkdir(mode=0o755)
    backend = Ours(folder, registry_config=str(cluster.access_file(folder / "registry.ini")))
    backend.under = with_state(folder)
    return backend


def _ini(app: Path, version: int) -> str:
    return f"[uwsgi]\nfile = {app}\nidle = 93600\nenv = VERSION={version}\n"


def _first_hits(bench: Bench, cluster: EtcdCluster, backend: Ours, app: Path) -> Iterator[Row]:
    what = "first hit at a domain"
    _put(cluster, [RegisteredIni(f"pulled{n}.localhost", 1, _OWNER, _ini(app, 1))
                   for n in range(_PAIRS + 1)])  # fmt: skip
    for number in range(_PAIRS + 1):
        domain = f"placed{number}.localhost"
        backend.drop(domain, _ini(app, 1))
        shutil.chown(backend.vassals / f"{domain}.ini", _OWNER)
        backend.until(domain, "parked")
    sides = {
        "ours": _hits(backend, "pulled"),
        "an ini of the folder": _hits(backend, "placed"),
    }
    took = bench.paired(what, sides, _PAIRS)
    yield row(f"{what} of the registry", "ms", took)
    over = [ours - theirs for ours, theirs in zip(*took.values(), strict=True)]
    yield row(f"{what} of the registry, over one of the folder", "ms", {"ours": over}, Limit(10.0))


def _hits(backend: Ours, kind: str) -> Callable[[], float]:
    numbers = count()
    return lambda: http_first_byte(backend.port, f"{kind}{next(numbers)}.localhost")


def _change(bench: Bench, cluster: EtcdCluster, backends: list[Ours], app: Path) -> Row:
    domain, what = "changed.localhost", f"put in the registry until used by all of {_BACKENDS}"
    versions = count(1)

    def put() -> float:
        version = next(versions)
        return _put(cluster, [RegisteredIni(domain, version, _OWNER, _ini(app, version))])

    put()
    for backend in backends:
        http_first_byte(backend.port, domain)
    took = []
    for number in bench.rounds(what):
        # A change waits for the process of the version before the last one, which still stops.
        for backend in backends:
            eventually(partial(_has_one_process, backend, domain))
        begun = put()
        for backend in backends:
            _until(partial(_serves, backend, domain, number + 1), begun)
        took.append(time.perf_counter() - begun)
    return row(what, "ms", {"ours": took}, Limit(1000.0))


def _has_one_process(backend: Ours, domain: str) -> bool:
    return backend.detail(domain)["predecessor_pid"] is None


def _serves(backend: Ours, domain: str, version: int) -> bool:
    connection = HTTPConnection("127.0.0.1", backend.port, timeout=_LONGEST_SECONDS)
    try:
        connection.request("GET", "/", headers={"Host": domain})
        return connection.getresponse().read() == str(version).encode()
    finally:
        connection.close()


def _until(is_done: Callable[[], bool], begun: float) -> None:
    while not is_done():
        if time.perf_counter() - begun > _LONGEST_SECONDS:
            raise TimeoutError("a change of the registry is not used")
        time.sleep(_STEP_SECONDS)


def _put(cluster: EtcdCluster, inis: list[RegisteredIni]) -> float:
    """Put them together, and return when that was done."""
    values = {_KEYS.vassal(each.domain): encoded(Sealed(each)) for each in inis}

    async def put() -> float:
        async with Etcd(cluster.access) as engine:
            await engine.put(values, {})
            return time.perf_counter()

    return asyncio.run(put())
