"""Finds free ports for the daemons of `make run`, starts the daemons and stops them."""

import errno
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from docs.examples.layout import BIN, Backend

START_SECONDS = 30.0


class DemoError(Exception):
    """The demo cannot start or go on; the message says why."""


def free_port(first: int, addresses: Sequence[str]) -> int:
    """The first port, from `first` up, that is free on each address. Raises DemoError."""
    for port in range(first, first + 100):
        if all(_is_free(address, port) for address in addresses):
            return port
    raise DemoError(f"cannot listen: all ports from {first} to {first + 99} are taken")


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise DemoError(f"cannot listen on {address}:{port}: {error.strerror}") from error
            return False
    return True


@contextmanager
def emperords(backends: Sequence[Backend]) -> Iterator[None]:
    """Run an emperord for each backend, all at once. Raises DemoError when one does not start."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        for backend in backends:
            started.append(_start(backend))
        deadline = time.monotonic() + START_SECONDS
        for backend, process in zip(backends, started, strict=True):
            while not (backend.run_dir / "activate.sock").exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise DemoError(
                        f"cannot start emperord:\n{backend.log.read_text(errors='replace')}"
                    )
                time.sleep(0.02)
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait()


def _start(backend: Backend) -> "subprocess.Popen[bytes]":
    """Start an emperord in a session of its own. Ctrl-C then reaches only the demo, which stops the
    daemons in order."""
    folder = backend.folder
    flags: dict[str, object] = {
        "vassals-dir": folder / "vassals",
        "sockets-dir": folder / "sockets",
        "run-dir": backend.run_dir,
        "log-dir": folder / "logs",
        "uwsgi-binary": folder.parent / "venv" / "bin" / "uwsgi",
        "stop-timeout": 5,
    }
    # The user who called sudo may use emperorctl without it, since sudo drops the environment.
    if group := os.environ.get("SUDO_GID"):
        flags["control-group"] = group
    with backend.log.open("ab") as log:
        return subprocess.Popen(
            [BIN / "emperord", *(f"--{name}={value}" for name, value in flags.items())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


@contextmanager
def console(backend: Backend) -> Iterator[str]:
    """Run the console of a backend, and give the link that lets one browser in. Raises
    DemoError."""
    program = str(BIN / "emperorctl")
    command = [program, f"--run-dir={backend.run_dir}", "console", "--no-browser"]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout
        try:
            if not (link := process.stdout.readline().strip()):
                raise DemoError("cannot start the console: see above")
            yield link
        finally:
            process.terminate()


@contextmanager
def nginx(conf: Path) -> Iterator[None]:
    """Run nginx. It may be stopped and started by hand meanwhile: the process to stop in the end
    is read from the pid file. Raises DemoError when nginx does not start."""
    try:
        # nginx closes its standard error after it has written its pid file.
        started = subprocess.run(
            ["nginx", "-e", conf.with_name("error.log"), "-c", conf],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            check=False,
        )
        if started.returncode != 0:
            raise DemoError(f"cannot start nginx:\n{started.stderr}")
        yield
    finally:
        with suppress(FileNotFoundError, ProcessLookupError):
            _stop(int(conf.with_name("nginx.pid").read_text()))


def _stop(pid: int) -> None:
    process = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(process, signal.SIGTERM)
        select.select([process], [], [])
    finally:
        os.close(process)
