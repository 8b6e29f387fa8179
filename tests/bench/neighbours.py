"""A neighbour of a tenant who takes what can be had: places to boot, memory, processes, CPU."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import count
from statistics import quantiles

from docs.figures import Limit
from tests.backend import APPS
from tests.bench.apps import TELLING
from tests.bench.knock import http_first_byte
from tests.bench.load import Client, load
from tests.bench.ours import Ours
from tests.bench.place import place
from tests.bench.report import Row, row
from tests.bench.rounds import Bench
from tests.eventually import eventually

# Users of Debian that own nothing else here.
_MALLORY, _ALICE = 5, 7
_SLOW_BOOTS = 24
_BOOT_SECONDS = 60
# The first of them have started Python by then, and sleep in their places.
_SETTLED_SECONDS = 1.0
# A hog that goes on for so long is found by then: the kernel may tell of the first wait after two
# seconds.
_HOGGING_SECONDS = 8.0
_ROUNDS = 8
# A visitor does not wait for a CPU of the server's.
_VISITOR = Client(500, every=0.01, is_remote=True)
_LIMIT = Limit(1.5, over="alone")
# What a hog asks its own app for, and the limit of that app.
_HOGS = {
    "a memory hog": ("/memory", "memory-max = 200M"),
    "a fork bomb": ("/fork", "pids-max = 200"),
    "a CPU hog": ("/cpu", ""),
}


def slow_boots(bench: Bench) -> Iterator[Row]:
    """Compare the cold start of a neighbour beside many apps that boot slowly, and without them."""
    with place() as folder, Ours(folder) as ours:
        fresh = [f"alice{number}.example" for number in range(2 * (_ROUNDS + 1))]
        for domain in fresh:
            _drop(ours, _ALICE, domain, ours.ini(domain, str(TELLING)))
        slow = [f"mallory{number}.example" for number in range(_SLOW_BOOTS)]
        for domain in slow:
            ini = ours.ini(domain, str(TELLING), env=f"BOOT_SECONDS={_BOOT_SECONDS}")
            _drop(ours, _MALLORY, domain, ini)
        numbers = count()

        def alone() -> float:
            return http_first_byte(ours.port, fresh[next(numbers)])

        def beside() -> float:
            with _booting(ours, slow):
                return alone()

        what = f"a neighbour's cold start beside {_SLOW_BOOTS} slow boots of one user"
        yield row(what, "ms", bench.paired(what, {"ours": beside, "alone": alone}, _ROUNDS), _LIMIT)


def hogs(bench: Bench) -> Iterator[Row]:
    """Compare the slowest answers of a neighbour beside each hog with those without one."""
    with place() as folder, Ours(folder) as ours:
        _drop(ours, _ALICE, "alice.example", ours.ini("alice.example", str(TELLING)))
        for number, (_, limit) in enumerate(_HOGS.values()):
            domain = f"mallory{number}.example"
            ini = f"{ours.ini(domain, str(APPS / 'hog.py'))}[emperor]\nstop-timeout = 1\n{limit}\n"
            _drop(ours, _MALLORY, domain, ini)
        sides: dict[str, Callable[[], float]] = {"alone": lambda: _p99(ours)}
        for number, (name, (path, _)) in enumerate(_HOGS.items()):
            sides[name] = partial(_beside, ours, f"mallory{number}.example", path)
        p99 = bench.paired("p99 of a neighbour", sides, _ROUNDS)
        for name in _HOGS:
            series = {"ours": p99[name], "alone": p99["alone"]}
            yield row(f"p99 of a neighbour beside {name}", "ms", series, _LIMIT)


def _drop(ours: Ours, uid: int, domain: str, ini: str) -> None:
    draft = ours.folder / f"{domain}.draft"
    draft.write_text(ini)
    os.chown(draft, uid, -1)
    draft.rename(ours.vassals / f"{domain}.ini")
    ours.until(domain, "parked")


@contextmanager
def _booting(ours: Ours, domains: list[str]) -> Iterator[None]:
    """Have a browser ask for each of these apps, which boot for longer than the block runs."""
    with ExitStack() as stack:
        for domain in domains:
            browser = stack.enter_context(socket.create_connection(("127.0.0.1", ours.port)))
            browser.sendall(
                f"GET / HTTP/1.1\r\nHost: {domain}\r\nAccept: text/html\r\n\r\n".encode()
            )
        eventually(lambda: all(ours.state(domain) == "starting" for domain in domains))
        time.sleep(_SETTLED_SECONDS)
        yield
    for domain in domains:
        ours.park(domain)


def _beside(ours: Ours, domain: str, path: str) -> float:
    """The neighbour's p99 while a client asks the hog for more, again and again, and has done so
    for a while."""
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.wait(0.01):
            with suppress(OSError), socket.create_connection(("127.0.0.1", ours.port), 1) as client:
                request = f"GET {path} HTTP/1.1\r\nHost: {domain}\r\nConnection: close\r\n\r\n"
                client.sendall(request.encode())
                client.recv(1)

    http_first_byte(ours.port, domain)
    asking = threading.Thread(target=ask)
    asking.start()
    try:
        time.sleep(_HOGGING_SECONDS)
        return _p99(ours)
    finally:
        is_over.set()
        asking.join()
        eventually(lambda: _sleeps(ours, domain), what=f"{domain} sleeps")


def _sleeps(ours: Ours, domain: str) -> bool:
    """Stop the app; a request that was left in its queue may wake it again."""
    ours.call("POST", f"/v1/vassals/{domain}/sleep")
    return ours.state(domain) == "parked"


def _p99(ours: Ours) -> float:
    http_first_byte(ours.port, "alice.example")
    answers = load(ours.port, "alice.example", _VISITOR)
    if any(answer.status != 200 for answer in answers):
        raise ConnectionError("cannot measure: a request of the neighbour failed")
    return quantiles((answer.seconds for answer in answers), n=100)[-1]
