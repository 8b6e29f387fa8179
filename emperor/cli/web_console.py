"""`emperorctl console`: the console in the browser, by a small server on the loopback interface."""

import asyncio
import errno
import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path

import click

from emperor.cli.console_proxy import Proxy
from emperor.cli.failure import Failed
from emperor.linux.inheritance import inherited
from emperor.linux.limits import descriptors
from emperor.linux.loopback_peer import user_of
from emperor.model.console_policy import BrowserPolicy, NginxPolicy
from emperor.web.accept import MakeProtocol
from emperor.web.server import ConnectionFilter, serve

ADDRESS = "127.0.0.1"
# Without a request for so long, the console for nginx ends; its socket unit starts it again.
_IDLE_SECONDS = 600.0
# Streams have no end of their own, and nobody waits for them at the end.
_SHUTDOWN_SECONDS = 0.1
_NO_LOGIN = 2**32 - 1


@click.command()
@click.option(
    "--port", metavar="N", type=click.IntRange(1, 65535),
    help="Listen on this port; on a free one by default.",
)  # fmt: skip
@click.option("--no-browser", is_flag=True, help="Print the link, and open no browser.")
@click.option(
    "--for-nginx", is_flag=True,
    help="Serve nginx on the socket that systemd passes; for emperord-console.service.",
)  # fmt: skip
@click.pass_obj
def console(run_dir: Path, port: int | None, no_browser: bool, for_nginx: bool) -> None:
    """Open the console of emperord in the browser, until Ctrl-C.

    It shows and does what emperorctl does for you, on http://127.0.0.1:N. The link that is printed
    lets one browser in, once. If emperord runs on a SERVER:

    \b
    ssh -t -L 8000:127.0.0.1:8000 SERVER emperorctl console --port 8000
    """
    control_socket = run_dir / "control.sock"
    if for_nginx:
        listener = _passed(os.environ)
        proxy = Proxy(NginxPolicy(), control_socket)
        asyncio.run(_serve(proxy, listener, _IDLE_SECONDS))
    else:
        asyncio.run(_for_one_browser(control_socket, port, no_browser))


async def _for_one_browser(control_socket: Path, port: int | None, no_browser: bool) -> None:
    with _listener(port or 0) as listener:
        number = listener.getsockname()[1]
        token, session = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        policy = BrowserPolicy(token, session)
        # A browser sends the cookies of all ports of a host to each of them.
        proxy = Proxy(policy, control_socket, f"emperord-console-{number}", session)
        await proxy.check()
        link = f"http://{ADDRESS}:{number}/?token={token}"

        def begin() -> None:
            click.echo(f"{link}\nThe link lets one browser in, once. Ctrl-C ends the console.")
            if not no_browser:
                open_in_browser(link, os.environ)

        await _serve(proxy, listener, callers=UsersOnly(users(os.environ)), begin=begin)


class UsersOnly:
    """Serves connections of processes of `users` alone. Other users of the machine can see the link
    in a list of processes, and a browser sends a cookie of 127.0.0.1 to their servers there, too.
    Their connections are closed at once, so that they hold no descriptor."""

    def __init__(self, users: Collection[int]) -> None:
        self._users = users

    def admit(self, connection: socket.socket, protocol: MakeProtocol) -> MakeProtocol | None:
        """The protocol for a new connection; None: the connection was closed."""
        uid = None
        # A client that has left has no address.
        with suppress(OSError):
            uid = user_of(connection.getpeername(), connection.getsockname())
        if uid in self._users:
            return protocol
        connection.close()
        return None


async def _serve(
    proxy: Proxy,
    listener: socket.socket,
    idle: float | None = None,
    callers: ConnectionFilter | None = None,
    begin: Callable[[], None] = lambda: None,
) -> None:
    """Serve until a signal, or until no request has come for `idle` seconds."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    listener.setblocking(False)
    # Connections wait in the queue of the listener until they are served.
    begin()
    # Each request needs a connection to the daemon, too.
    most = descriptors().limit // 2
    async with serve(proxy.application(), listener, most, callers, _SHUTDOWN_SECONDS):
        with suppress(TimeoutError):
            async with asyncio.timeout(idle) as timeout:
                if idle:
                    proxy.on_request = lambda: _postpone(timeout, None if proxy.running else idle)
                await ended.wait()


def _postpone(timeout: asyncio.Timeout, seconds: float | None) -> None:
    """Have it pass after these seconds from now; None: not at all. At the end, when streams are
    still cancelled, it has passed or is over."""
    with suppress(RuntimeError):
        timeout.reschedule(None if seconds is None else asyncio.get_running_loop().time() + seconds)


def _listener(port: int) -> socket.socket:
    try:
        return socket.create_server((ADDRESS, port))
    except OSError as error:
        cure = {
            errno.EADDRINUSE: "another program has the port; give another one, or no --port",
            errno.EACCES: "ports below 1024 are for root; give a higher one, or no --port",
        }.get(error.errno or 0, os.strerror(error.errno or 0))
        raise Failed(f"cannot listen on {ADDRESS}:{port}: {cure}") from error


def _passed(environment: Mapping[str, str]) -> socket.socket:
    fds = inherited(dict(environment))
    if len(fds) != 1:
        raise Failed(
            "cannot serve nginx: systemd has passed no socket; start emperord-console.socket"
            " instead of this command"
        )
    return socket.socket(fileno=next(iter(fds.values())))


def users(environment: Mapping[str, str]) -> frozenset[int]:
    """The users whose browser may connect: the one who runs this command, also by sudo or su, and
    root, who may do all."""
    found = {0, os.geteuid()}
    if (sudo := environment.get("SUDO_UID", "")).isdecimal():
        found.add(int(sudo))
    with suppress(OSError, ValueError):
        found.add(int(Path("/proc/self/loginuid").read_text(encoding="ascii")))
    return frozenset(found - {_NO_LOGIN})


def open_in_browser(link: str, environment: Mapping[str, str]) -> "subprocess.Popen[bytes] | None":
    """Show it in the browser of the desktop. None: there is no desktop, or it is not root's."""
    has_desktop = environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    program = shutil.which("xdg-open")
    if not has_desktop or not program or os.geteuid() == 0:
        return None
    nothing = subprocess.DEVNULL
    return subprocess.Popen(
        [program, link], stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True
    )
