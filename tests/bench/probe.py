"""Asks a daemon again and again whether it is there, and notes the longest wait for an answer."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_PATIENCE_SECONDS = 60.0
_BETWEEN_SECONDS = 0.002


@dataclass(slots=True)
class Waits:
    """The longest waits so far, in seconds: for an answer on control.sock, and for that to a health
    probe."""

    control: float = 0.0
    health: float = 0.0
    problems: list[BaseException] = field(default_factory=list)


@contextmanager
def probing(run_dir: Path, domain: str) -> Iterator[Waits]:
    """Ask during the block, each time on a new connection, for one vassal and, in a thread of its
    own, for the health. Raises the first error of a probe at the end."""
    waits, is_over = Waits(), threading.Event()

    def ask_control() -> None:
        waits.control = max(
            waits.control, _seconds(run_dir / "control.sock", f"/v1/vassals/{domain}")
        )

    def ask_health() -> None:
        waits.health = max(waits.health, _seconds(run_dir / "activate.sock", "/emperord-health"))

    def again(ask: Callable[[], None]) -> None:
        try:
            while not is_over.wait(_BETWEEN_SECONDS):
                ask()
        except BaseException as error:
            waits.problems.append(error)

    threads = [threading.Thread(target=again, args=[ask]) for ask in (ask_control, ask_health)]
    for thread in threads:
        thread.start()
    try:
        yield waits
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    for problem in waits.problems:
        raise problem


def _seconds(path: Path, target: str) -> float:
    """The seconds from connect() to the end of the answer, over as many connections as that takes:
    an upgrade closes those that are open."""
    request = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    begun = time.perf_counter()
    while True:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_PATIENCE_SECONDS)
            answer = b""
            try:
                connection.connect(str(path))
                connection.sendall(request)
                while part := connection.recv(65536):
                    answer += part
            except ConnectionError:
                pass
        if answer.startswith(b"HTTP/1.1 200 "):
            return time.perf_counter() - begun
        if answer or time.perf_counter() - begun > _PATIENCE_SECONDS:
            raise ConnectionError(f"cannot measure {path}: it answered {answer[:200]!r}")
