"""A socket that an ini names besides the vassal's own passes from each process to the next."""

import http.client
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.backend import APPS, Backend
from tests.eventually import eventually
from tests.journeys.load import Load
from tests.nginx_server import free_ports

KINDS = (
    "http-socket = 127.0.0.1:{port}",
    "http-socket = :{port}",
    "http-socket = 0.0.0.0:{port}",
    "http-socket = localhost:{port}",
    "http-socket = [::1]:{port}",
    "http-socket = {folder}/app.sock",
    "http-socket = app.sock",
    "http-socket = @{folder}",
    "protocol = http\nsocket = app.sock",
    # uWSGI gets its own socket by name then.
    f"gevent = 8\nhome = {sys.prefix}\nhttp-socket = app.sock",
    f"gevent = 8\nhome = {sys.prefix}\nhttp-socket = :{{port}}",
)
# Each is asked all the time at two sockets, which takes the time of what starts.
AT_ONCE = 4


class Foreign:
    """The socket that the ini names besides."""

    def __init__(self, option: str, folder: Path, port: int) -> None:
        self.line = option.format(folder=folder, port=port)
        self._address = self.line.rpartition(" = ")[2]
        self._folder, self._port = folder, port

    def ini(self, app: str = "plain.py") -> str:
        """The ini, whose `vacuum` would remove a path at the end of the process that bound it."""
        return f"[uwsgi]\nchdir = {self._folder}\nvacuum = true\n{self.line}\nfile = {APPS}/{app}\n"

    def _connect(self) -> socket.socket:
        if ":" in self._address:
            host = "::1" if "::1" in self._address else "127.0.0.1"
            return socket.create_connection((host, self._port), 20)
        is_name = self._address.startswith("@")
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        # uWSGI counts a NUL at the end among the bytes of an abstract name.
        path = f"\0{self._address[1:]}\0" if is_name else str(self._folder / "app.sock")
        connection.connect(path)
        return connection

    def get(self) -> str:
        """The answer to a GET there."""
        connection = http.client.HTTPConnection("localhost")
        connection.sock = self._connect()
        try:
            connection.request("GET", "/", headers={"Connection": "close"})
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    @contextmanager
    def asked(self) -> Iterator[list[str]]:
        """GETs one after the other until the block is left: their answers, or what went wrong."""
        enough = threading.Event()
        answers: list[str] = []

        def ask() -> None:
            while not enough.is_set():
                try:
                    answers.append(self.get())
                except OSError as error:
                    answers.append(repr(error))

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield answers
        finally:
            enough.set()
            thread.join()


def is_replaced(backend: Backend, domain: str, before: int) -> bool:
    detail = backend.detail(domain)
    return detail["status"]["pid"] not in (before, None) and not detail["predecessor_pid"]


def has_failed(backend: Backend, domain: str) -> bool:
    return bool(backend.lines(f"{domain}: .*the old one serves on"))


@pytest.mark.parametrize("first", range(0, len(KINDS), AT_ONCE))
def test_a_second_socket_passes_to_the_successor(
    backend: Backend, folder: Path, first: int
) -> None:
    backend.expect("the old one serves on")
    kinds = KINDS[first : first + AT_ONCE]
    vassals = {}
    for number, (kind, port) in enumerate(zip(kinds, free_ports(len(kinds)), strict=True)):
        place = folder / f"site{number}"
        place.mkdir()
        vassals[f"{number}.example"] = Foreign(kind, place, port)
    for domain, foreign in vassals.items():
        backend.drop(domain, foreign.ini())
        backend.until(domain, "parked")
        assert backend.get(domain).status == 200
    with ExitStack() as stack:
        loads = {domain: Load(backend, domain, threads=1) for domain in vassals}
        for load in loads.values():
            stack.enter_context(load.running())
        answers = {
            domain: stack.enter_context(foreign.asked()) for domain, foreign in vassals.items()
        }
        for _ in range(2):
            before = {domain: backend.leader(domain) for domain in vassals}
            for domain in vassals:
                (backend.vassals / f"{domain}.ini").touch()
            for domain, leader in before.items():
                eventually(partial(is_replaced, backend, domain, leader), what=f"{domain} is new")
        serving = {domain: foreign.get() for domain, foreign in vassals.items()}
        for domain, foreign in vassals.items():
            backend.drop(domain, foreign.ini("broken.py"))
        for domain in vassals:
            eventually(partial(has_failed, backend, domain), what=f"{domain} fails")
    for domain, foreign in vassals.items():
        assert set(loads[domain].statuses) == {200}, foreign.line
        pids = set(loads[domain].pids)
        assert len(pids) == 3, foreign.line
        assert {answer.split()[0] for answer in answers[domain]} == pids, foreign.line
        assert foreign.get() == serving[domain], "the socket is that of the last good process"
    assert not backend.lines("→ stopping")
