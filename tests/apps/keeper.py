"""Answers with the uid that it runs as. As the user with the number KEEPER it never stops by
itself, and with the first request it leaves a process in a session of its own, which has the
listener and answers whoever connects."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import uwsgi  # type: ignore[import-untyped]

LISTENER = 3
STOLEN = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nstolen"
IS_KEEPER = os.environ.get("KEEPER") == str(os.getuid())
kept: list[int] = []


def keep() -> None:
    """Fork a process that keeps the listener alone."""
    if pid := os.fork():
        kept.append(pid)
        return
    os.setsid()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.closerange(LISTENER + 1, 1000)
    listener = socket.socket(fileno=LISTENER)
    listener.setblocking(True)
    while True:
        with suppress(OSError), listener.accept()[0] as visitor:
            visitor.settimeout(2)
            visitor.recv(65536)
            visitor.sendall(STOLEN)


def application(_environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """A WSGI application."""
    if IS_KEEPER and not kept:
        keep()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getuid()).encode()]


if IS_KEEPER:
    uwsgi.atexit = lambda: time.sleep(1000)
