"""How each fault is done and undone: it lasts while its block does."""

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from random import Random
from typing import TypeVar

from tests.faults import disks
from tests.faults.apps import KINDS
from tests.faults.site import Site, ini_of, send, stopped

T = TypeVar("T")

# More than fs.inotify.max_queued_events is by default.
_MOST_EVENTS = 16_384


@contextmanager
def masters_killed(site: Site, chance: Random) -> Iterator[None]:
    send(signal.SIGKILL, _some(chance, site.masters()))
    yield


@contextmanager
def workers_killed(site: Site, chance: Random) -> Iterator[None]:
    send(signal.SIGKILL, _some(chance, site.workers()))
    yield


@contextmanager
def masters_stopped(site: Site, chance: Random) -> Iterator[None]:
    with stopped(_some(chance, site.masters())):
        yield


@contextmanager
def workers_stopped(site: Site, chance: Random) -> Iterator[None]:
    with stopped(_some(chance, site.workers())):
        yield


@contextmanager
def daemon_stopped(site: Site, _chance: Random) -> Iterator[None]:
    with stopped([site.daemon]):
        yield


@contextmanager
def daemon_killed(site: Site, _chance: Random) -> Iterator[None]:
    site.backend.process.kill()
    site.backend.process.wait()
    try:
        yield
    finally:
        site.backend.start()


@contextmanager
def daemon_hung_up(site: Site, _chance: Random) -> Iterator[None]:
    site.expect_upgrade()
    site.backend.process.send_signal(signal.SIGHUP)
    yield


@contextmanager
def bases_killed(site: Site, _chance: Random) -> Iterator[None]:
    send(signal.SIGKILL, site.bases())
    yield


@contextmanager
def bases_stopped(site: Site, _chance: Random) -> Iterator[None]:
    with stopped(site.bases()):
        yield


@contextmanager
def virtualenv_upgraded(site: Site, chance: Random) -> Iterator[None]:
    [packages] = (site.backend.folder / "venv").glob("lib/python3*/site-packages")
    (packages / "extra" / "part0.py").write_text(f"VERSION = {chance.random()}\n")
    (packages / f"extra-{chance.random()}.dist-info").mkdir()
    yield


@contextmanager
def nginx_worker_killed(site: Site, chance: Random) -> Iterator[None]:
    send(signal.SIGKILL, [chance.choice(site.nginx_workers())])
    yield


@contextmanager
def log_disk_full(site: Site, _chance: Random) -> Iterator[None]:
    with disks.full(site.backend.logs):
        yield


@contextmanager
def log_disk_frozen(site: Site, _chance: Random) -> Iterator[None]:
    with disks.frozen(site.backend.logs):
        yield


@contextmanager
def log_folder_gone(site: Site, _chance: Random) -> Iterator[None]:
    for path in site.backend.logs.glob("*.log"):
        subprocess.run(["chattr", "-a", path], check=True)  # that of a user's app
        path.unlink()
    yield


@contextmanager
def run_disk_full(site: Site, _chance: Random) -> Iterator[None]:
    with disks.full(site.backend.run_dir):
        yield


@contextmanager
def no_room_for_sockets(site: Site, _chance: Random) -> Iterator[None]:
    with disks.without_inodes(site.backend.sockets):
        site.backend.drop("guest.example", site.backend.ini("guest.example"))
        yield
    site.backend.remove("guest.example")


@contextmanager
def descriptors_used_up(site: Site, _chance: Random) -> Iterator[None]:
    pid = site.daemon.pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    # The daemon keeps its descriptors, and gets no further ones.
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, hard))
    try:
        _touch(site)
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def clock_jumps(site: Site, chance: Random) -> Iterator[None]:
    with site.clock.wrong_by(chance.choice([10, -10, -86_400, 1_000_000])):
        yield


@contextmanager
def inis_touched(site: Site, _chance: Random) -> Iterator[None]:
    _touch(site)
    yield


@contextmanager
def inis_broken(site: Site, chance: Random) -> Iterator[None]:
    broken = _some(chance, sorted(KINDS))
    for domain in broken:
        site.backend.drop(domain, "[uwsgi\n")
    try:
        yield
    finally:
        _restore(site, broken)


@contextmanager
def inis_gone(site: Site, chance: Random) -> Iterator[None]:
    gone = _some(chance, sorted(KINDS))
    for domain in gone:
        site.backend.remove(domain)
    try:
        yield
    finally:
        _restore(site, gone)


@contextmanager
def hundreds_come_and_go(site: Site, chance: Random) -> Iterator[None]:
    guests = [f"guest-{number:03}.example" for number in range(200)]
    for domain in guests:
        text = "[uwsgi\n" if chance.random() < 0.1 else site.backend.ini(domain)
        site.backend.drop(domain, text)
    try:
        yield
    finally:
        for domain in guests:
            site.backend.remove(domain)


@contextmanager
def vassals_folder_gone(site: Site, _chance: Random) -> Iterator[None]:
    away = site.backend.folder / "away"
    site.backend.vassals.rename(away)
    try:
        yield
    finally:
        away.rename(site.backend.vassals)


@contextmanager
def inotify_overflows(site: Site, _chance: Random) -> Iterator[None]:
    files = [site.backend.vassals / name for name in (".one", ".other")]
    for file in files:
        file.touch()
    with stopped([site.daemon]):
        # The kernel merges an event with the same one before it.
        for file in islice(cycle(files), _MOST_EVENTS + 1):
            os.utime(file)
        _touch(site)
    yield
    for file in files:
        file.unlink()


@contextmanager
def sockets_unlinked(site: Site, chance: Random) -> Iterator[None]:
    for domain in _some(chance, sorted(KINDS)):
        (site.backend.sockets / domain / "socket").unlink(missing_ok=True)
    yield


@contextmanager
def socket_folders_gone(site: Site, chance: Random) -> Iterator[None]:
    for domain in _some(chance, sorted(KINDS)):
        shutil.rmtree(site.backend.sockets / domain, ignore_errors=True)
    yield


def _touch(site: Site) -> None:
    for path in site.backend.vassals.glob("*.ini"):
        os.utime(path)


def _restore(site: Site, domains: list[str]) -> None:
    for domain in domains:
        site.backend.drop(domain, ini_of(site.backend, site.runs, domain, KINDS[domain]))


def _some(chance: Random, those: list[T]) -> list[T]:
    return chance.sample(those, min(len(those), 3))
