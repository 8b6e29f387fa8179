"""Sleeping apps whose inis came from the registry: what their daemon needs, beside one that has the
same inis from its folder alone."""

import asyncio
import pwd
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice

from emperor.linux.boot_id import boot_id
from emperor.linux.placed_file import Owner
from emperor.linux.pulled_journal import Journal
from emperor.model.pulled import Act, Occasion
from emperor.model.registration import RegisteredIni, Sealed, encoded
from emperor.model.registry_keys import Keys
from emperor.pull.pulled_inis import Order, PulledInis
from emperor.registry.etcd import Etcd
from tests.backend import Daemon, with_state
from tests.bench.parked import Start, ready
from tests.bench.place import place
from tests.bench.report import Row, row
from tests.bench.rounds import Bench
from tests.etcd_cluster import EtcdCluster, etcd_cluster
from tests.eventually import eventually

_SIZE = 10_000
_OWNER = "www-data"
_APP = "/srv/app/application.py"
_IN_A_TRANSACTION = 100
_ROUNDS = 5
_KEYS = Keys("/emperord")


def pulled(bench: Bench) -> Iterator[Row]:
    """Measure start and memory. The inis are pulled beforehand, by the daemon's own code."""
    with place() as folder, etcd_cluster() as cluster:
        (folder / "ours").mkdir(mode=0o755)
        (folder / "folder").mkdir(mode=0o755)
        access = cluster.access_file(folder / "registry.ini")
        ours = Daemon(folder / "ours", registry_config=str(access), registry_forget="0")
        theirs = Daemon(folder / "folder")
        for daemon in (ours, theirs):
            daemon.under = with_state(daemon.folder)
        entries = [_entry(ours, number) for number in range(_SIZE)]
        _pull(ours, entries, asyncio.run(_put(cluster, entries)))
        for entry in entries:
            theirs.drop(entry.domain, entry.ini)
        sides = {"ours": lambda: _started(ours, cluster), "folder alone": lambda: _started(theirs)}
        what = f"{_SIZE:,} pulled"
        starts = bench.paired(what, sides, _ROUNDS)
        seconds = {name: [start.seconds for start in each] for name, each in starts.items()}
        yield row(f"{what}: exec → all listen", "s", seconds)
        memory = {name: [float(start.rss) for start in each] for name, each in starts.items()}
        yield row(f"{what}: resident memory of emperord", "MB", memory)


def _entry(daemon: Daemon, number: int) -> RegisteredIni:
    domain = f"app{number:05}.example"
    return RegisteredIni(domain, 1, _OWNER, daemon.ini(domain, _APP))


async def _put(cluster: EtcdCluster, entries: Sequence[RegisteredIni]) -> int:
    """Put all of them. Returns the revision."""
    left, revision = iter(entries), 0
    async with Etcd(cluster.access) as engine:
        while some := list(islice(left, _IN_A_TRANSACTION)):
            values = {_KEYS.vassal(each.domain): encoded(Sealed(each)) for each in some}
            revision = await engine.put(values, {})
    return revision


def _pull(daemon: Daemon, entries: Sequence[RegisteredIni], revision: int) -> None:
    """Write the files and the journal, as after as many first hits."""
    inis = PulledInis(daemon.vassals, Journal(daemon.kept, boot_id()))
    inis.load()
    user = pwd.getpwnam(_OWNER)
    owner = Owner(user.pw_uid, user.pw_gid)
    outcomes = inis.carry_out(
        [Order(each.domain, revision, Occasion.HIT, each, owner) for each in entries]
    )
    if any(outcome.act is not Act.WRITE for outcome in outcomes):
        raise OSError(f"cannot pull: {next(o for o in outcomes if o.act is not Act.WRITE)}")
    inis.advance(revision)


def _started(daemon: Daemon, cluster: EtcdCluster | None = None) -> Start:
    with ExitStack() as stack:
        seconds, process = ready(daemon, stack)
        if cluster:
            eventually(lambda: _is_followed(daemon), what="the registry is followed")
        return Start(seconds, process.memory_info().rss)


def _is_followed(daemon: Daemon) -> bool:
    registry = daemon.call("GET", "/v1/status")[1]["emperor"]["registry"]
    return registry["unreached_since"] is None and registry["pulled"] == _SIZE
