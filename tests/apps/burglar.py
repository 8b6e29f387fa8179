"""Tries on an installed emperord what once succeeded, and answers with what came of it, as JSON. It
leaves behind a process in a session of its own that holds the listener."""

import http.client
import json
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

RUN = "/run/emperord"
LONE = "/srv/lone"


def _connect(path: str) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    return client


def _ask(target: str) -> str:
    client = http.client.HTTPConnection("emperord")
    client.sock = _connect(f"{RUN}/control.sock")
    client.request("GET", target)
    answer = client.getresponse()
    return f"{answer.status} {answer.read().decode()}"


def _lone_child() -> None:
    if os.fork() == 0:
        os.setsid()
        os.closerange(4, 1000)
        os.set_inheritable(3, True)
        os.execve("/bin/sh", [LONE, "-c", "while :; do sleep 0.2; done"], {})


def _notify() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"STATUS=taken\nMAINPID=1\nSTOPPING=1", "/run/systemd/notify")


ATTACKS: Mapping[str, Callable[[], object]] = {
    "lock": lambda: os.open(f"{RUN}/emperord.lock", os.O_RDONLY),
    "list inis": lambda: os.listdir("/etc/uwsgi/vassals"),
    "read an ini": lambda: Path("/etc/uwsgi/vassals/alice.example.ini").read_text("utf-8"),
    "add an ini": lambda: os.mknod("/etc/uwsgi/vassals/other.example.ini"),
    "cut the log": lambda: os.ftruncate(1, 0),
    "read a log": lambda: Path("/var/log/emperord/alice.example.log").read_text("utf-8"),
    "connect": lambda: _connect("/var/sockets/alice.example/socket"),
    "activate": lambda: _connect(f"{RUN}/activate.sock"),
    "settings": lambda: _ask("/v1/settings")[:3],
    "status": lambda: _ask("/v1/status"),
    "environment": lambda: sorted(os.environ),
    "home": lambda: os.environ["HOME"],
    "rights": lambda: [
        line
        for line in Path("/proc/self/status").read_text("utf-8").splitlines()
        if line.startswith(("CapBnd", "CapEff", "NoNewPrivs"))
    ],
    "notify": _notify,
    "child": _lone_child,
}


def application(_environ: object, start_response: Callable[..., object]) -> Iterable[bytes]:
    """Do all."""
    found: dict[str, object] = {}
    for name, attack in ATTACKS.items():
        found[name] = "failed"
        with suppress(OSError):
            found[name] = attack()
    start_response("200 OK", [])
    return [json.dumps(found).encode()]
