"""`make run`: nginx and emperord on loopback with three sample apps, in a folder of its own.

It shows the status until Ctrl-C, and then leaves nothing behind. What it runs is what is shipped:
the configuration of nginx/ and the inis of docs/examples/vassals, with other paths and ports.
"""

import argparse
import asyncio
import errno
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.live import Live
from rich.text import Text

from docs.examples.backend import render
from emperor.cli.client import connect
from emperor.cli.console import terminal
from emperor.cli.failure import Failed
from emperor.cli.records import parse
from emperor.cli.status import REFRESH_SECONDS, page
from emperor.model.status import Report

EXAMPLES = Path(__file__).parent
BIN = Path(sys.executable).parent

# Short, so that one can watch an app fall asleep. The inis say 26 hours, as the talk's does.
IDLE_SECONDS = 20
# Whom the apps run as: a user that owns nothing, exists everywhere, and is not nginx's, whose
# members may connect to every app's socket. emperord runs an ini as its owner.
APP_USER = "nobody"
# What the apps import, and what those import.
PACKAGES = (
    "asgiref", "blinker", "click", "django", "flask", "itsdangerous", "jinja2", "markupsafe",
    "sqlparse", "werkzeug",
)  # fmt: skip

START_SECONDS = 30.0


class DemoError(Exception):
    """Why there is no demo."""


@dataclass(frozen=True, slots=True)
class Demo:
    """Where it lives. `http` and `https` are ports of 127.0.0.1."""

    folder: Path
    http: int
    https: int
    password: str

    @property
    def domains(self) -> list[str]:
        """The sample apps' hosts."""
        return sorted(ini.stem for ini in (EXAMPLES / "vassals").iterdir())


def main() -> None:
    """Run it as root, which nginx and users for apps need, and turn an error into a message."""
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="the first one to try [8080]")
    port = parser.parse_args().port
    if os.geteuid() != 0:
        os.execvp("sudo", ["sudo", sys.executable, "-m", "docs.examples.demo", f"--port={port}"])
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        run(port)
    except DemoError as error:
        sys.exit(str(error))


def run(port: int) -> None:
    """Start everything, show the status until an interrupt, stop everything. Raises DemoError."""
    with ExitStack() as stack:
        folder = stack.enter_context(_folder())
        demo = Demo(folder, _free_port(port), _free_port(port + 363), secrets.token_urlsafe(6))
        with suppress(KeyboardInterrupt):
            print("Preparing three sample apps ...", flush=True)
            _lay_out(demo)
            stack.enter_context(_emperord(demo))
            stack.enter_context(_nginx(demo))
            print(_welcome(demo), flush=True)
            _watch(demo)
        print("\nStopping ...", flush=True)
        # One interrupt is enough; another must not keep us from tidying up.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def _folder() -> Iterator[Path]:
    """In /tmp, since the path of a socket may have no more than 107 bytes, and open to nginx's
    workers and the apps' user, since a checkout below somebody's home is not."""
    folder = Path(tempfile.mkdtemp(prefix="emperord-", dir="/tmp"))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder)


def _free_port(first: int) -> int:
    for port in range(first, first + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise DemoError(f"cannot listen on port {port}: {error.strerror}") from error
            else:
                return port
    raise DemoError(f"cannot listen: all ports from {first} to {first + 99} are taken")


def _lay_out(demo: Demo) -> None:
    folder = demo.folder
    for name in ("vassals", "sockets", "run", "logs"):
        (folder / name).mkdir()
    shutil.copytree(EXAMPLES / "apps", folder / "apps")
    _copy_environment(folder / "venv")
    _prepare_django(folder / "apps" / "django", demo.password)
    for ini in (EXAMPLES / "vassals").iterdir():
        text = ini.read_text()
        for path, here in (("/var/sockets", folder / "sockets"), ("/srv", folder / "apps")):
            text = text.replace(path, str(here))
        vassal = folder / "vassals" / ini.name
        vassal.write_text(text.replace("idle = 93600", f"idle = {IDLE_SECONDS}"))
        shutil.chown(vassal, APP_USER)


def _copy_environment(venv: Path) -> None:
    """A virtual environment with what the apps need: uWSGI finds it by its own place. That of the
    checkout may lie where the apps' user cannot go."""
    site = next(Path(sys.prefix).glob("lib/python*/site-packages"))
    (venv / "bin").mkdir(parents=True)
    shutil.copy(BIN / "uwsgi", venv / "bin")
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", venv)
    for package in PACKAGES:
        shutil.copytree(site / package, venv / site.relative_to(sys.prefix) / package)


def _prepare_django(project: Path, password: str) -> None:
    data = project / "data"
    data.mkdir()
    (data / "secret").write_text(secrets.token_urlsafe(32))
    for order in (
        ["migrate", "--verbosity=0"],
        ["createsuperuser", "--noinput", "--username=admin", "--email=admin@localhost"],
    ):
        subprocess.run(
            [sys.executable, project / "application.py", *order],
            env={"DJANGO_SUPERUSER_PASSWORD": password},
            stdout=subprocess.DEVNULL,
            check=True,
        )
    for path in (data, *data.iterdir()):
        shutil.chown(path, APP_USER)
        path.chmod(path.stat().st_mode & 0o700)


@contextmanager
def _emperord(demo: Demo) -> Iterator[None]:
    folder = demo.folder
    flags = {
        "vassals": folder / "vassals",
        "sockets": folder / "sockets",
        "run-dir": folder / "run",
        "log-dir": folder / "logs",
        "uwsgi": folder / "venv" / "bin" / "uwsgi",
        "stop-timeout": 5,
    }
    command = [str(BIN / "emperord"), *(f"--{name}={value}" for name, value in flags.items())]
    with _running(command, folder / "emperord.log", (folder / "run" / "activate.sock").exists):
        yield


@contextmanager
def _nginx(demo: Demo) -> Iterator[None]:
    conf = render(demo.folder, demo.http, demo.https)
    log = conf.with_name("error.log")
    command = ["nginx", "-e", str(log), "-c", str(conf), "-g", "daemon off;"]
    with _running(command, log, conf.with_name("nginx.pid").exists):
        yield


@contextmanager
def _running(command: Sequence[str], log: Path, is_up: Callable[[], bool]) -> Iterator[None]:
    """A daemon that writes to `log`. In a session of its own, so that Ctrl-C reaches us alone and
    we choose the order of the end. Raises DemoError when it does not come up."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not is_up():
            if process.poll() is not None or time.monotonic() > deadline:
                raise DemoError(f"cannot start {command[0]}:\n{log.read_text(errors='replace')}")
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait()


def _welcome(demo: Demo) -> str:
    emperorctl = f"{BIN / 'emperorctl'} --run-dir {demo.folder / 'run'}"
    if "SUDO_USER" in os.environ:
        emperorctl = f"sudo {emperorctl}"
    curls = [f"  curl http://{domain}:{demo.http}/" for domain in demo.domains]
    return "\n".join(
        [
            "",
            f"Three apps sleep on this machine. Wake them, here or in a browser (the admin of "
            f"Django's: admin, {demo.password}):",
            "",
            *curls,
            f"  curl -H 'Host: flask.localhost' -d hello http://127.0.0.1:{demo.http}/echo",
            f"  curl -k https://welcome.localhost:{demo.https}/",
            f"  http://django.localhost:{demo.http}/admin/",
            "",
            f"After {IDLE_SECONDS} s without a visitor they sleep again. Ask and steer:",
            "",
            f"  {emperorctl} why flask.localhost",
            f"  {emperorctl} logs django.localhost",
            f"  {emperorctl} reload welcome.localhost",
            f"  ls {demo.folder / 'vassals'}     # drop an ini of your own there",
            "",
            "Ctrl-C stops everything and leaves nothing behind.",
            "",
        ]
    )


def _watch(demo: Demo) -> None:
    """Show what happens until an interrupt. Raises DemoError when emperord ends before that."""
    run_dir = demo.folder / "run"
    try:
        if sys.stdout.isatty():
            asyncio.run(_show_table(run_dir))
        else:
            _show_events(run_dir)
    except Failed as error:
        print(error)
    log = (demo.folder / "emperord.log").read_text(errors="replace")
    raise DemoError(f"emperord has ended; its log:\n{log}")


def _show_events(run_dir: Path) -> None:
    process = subprocess.Popen([str(BIN / "emperorctl"), f"--run-dir={run_dir}", "events"])
    try:
        process.wait()
    finally:
        process.terminate()
        process.wait()


async def _show_table(run_dir: Path) -> None:
    """`emperorctl status --watch`, but below what was printed, which it would hide."""
    console = terminal()
    async with connect(run_dir) as client:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                report = parse(Report, await client.status())
                lines = page(report, datetime.now(UTC), console.width, console.height)
                live.update(Text("\n").join(lines), refresh=True)
                await asyncio.sleep(REFRESH_SECONDS)


if __name__ == "__main__":
    main()
