"""`make run`: a load balancer and two backends with three sample apps, on loopback addresses and in
a temporary folder.

The demo shows the status until Ctrl-C, then it stops everything and removes the folder. It runs
the shipped files: the configuration in nginx/ and lua/ and the inis in docs/examples/vassals, with
other paths, addresses and ports.
"""

import argparse
import asyncio
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from docs.examples import backend, balancer
from docs.examples.layout import (
    BACKENDS,
    BALANCER,
    BIN,
    IDLE_SECONDS,
    Backend,
    Fleet,
    lay_out,
)
from docs.examples.machines import DemoError, console, emperords, free_port, nginx
from docs.examples.screen import watch
from emperor.cli.placement import Placement, Rule
from emperor.cli.route import route_of

# With the tables below it, this fits a terminal of 80 columns and 24 lines.
TEXT = """\
A load balancer and two backends run. Each backend has the same three apps, all
asleep; they fall asleep again after {idle} seconds. In another terminal, first:
  cd {folder}
  export EMPERORD_RUN_DIR={run_dir}
The console of {home_address} lets one browser in, by this link:
  {console}
Wake the apps, here or in a browser (/admin/ is for admin, {password}):
  curl http://django.localhost:{http}/
  curl http://flask.localhost:{http}/
  curl -k https://welcome.localhost:{https}/
The inis are in {home}/vassals; touch one, add one.
"""
# Without tables, the text goes on so.
MORE = """\
Ask which backend the balancer chooses, by a hash of the name:
  ./emperorctl route --backends lua/init_backends.lua flask.localhost
Stop the nginx of that backend, and the other one answers: own= is the domain's
backend, up= is who was asked. Two seconds after its start it answers again.
  {sudo}nginx -c {home}/nginx/nginx.conf -s stop
  curl http://flask.localhost:{http}/
  tail -n 1 access.log
  {sudo}nginx -c {home}/nginx/nginx.conf
Or drain it, as before an upgrade of the machine, and end the drain:
  ./emperorctl drain
  ./emperorctl undrain
"""
MORE_IS_THERE = "For more to try (route, a backend that stops, a drain): cat more.txt\n"
END = "Ctrl-C stops everything and removes the demo's files."


def main() -> None:
    """Run the demo as root, since nginx and the apps have users of their own. A DemoError becomes
    a message."""
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="the first port to try [8080]")
    port = parser.parse_args().port
    if os.geteuid() != 0:
        _become_root(port)
    # SIGINT too: a shell starts a command with `&` with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        run(port)
    except DemoError as error:
        sys.exit(str(error))


def _become_root(port: int) -> NoReturn:
    """Run the demo again as root, by sudo; exits with the reason if there is no sudo."""
    try:
        os.execvp("sudo", ["sudo", sys.executable, "-m", "docs.examples.demo", f"--port={port}"])
    except FileNotFoundError:
        sys.exit("cannot start: the demo needs root, and sudo is not installed; run it as root")


def run(port: int) -> None:
    """Start everything, show the status until an interrupt, stop everything. Raises DemoError."""
    addresses = (BALANCER, *BACKENDS)
    with ExitStack() as stack:
        folder = stack.enter_context(_folder())
        http, https = free_port(port, addresses), free_port(port + 363, addresses)
        fleet = Fleet(folder, http, https, secrets.token_urlsafe(6))
        with suppress(KeyboardInterrupt):
            print("Preparing a load balancer, two backends and three apps ...", flush=True)
            lay_out(fleet)
            stack.enter_context(emperords(fleet.backends))
            for machine in fleet.backends:
                conf = backend.render(machine.folder, http, https, [machine.address])
                stack.enter_context(nginx(conf))
            conf = balancer.render(folder / "balancer", http, https, BACKENDS)
            stack.enter_context(nginx(conf))
            home = _home_of("flask.localhost", fleet, conf.parent / "lua" / "init_backends.lua")
            link = stack.enter_context(console(home))
            text = _welcome(fleet, home, conf.parent, link, has_tables=sys.stdout.isatty())
            print(text, flush=True)
            asyncio.run(watch(fleet.backends, below=len(text.splitlines())))
            raise DemoError(f"cannot go on: every emperord has ended. Their logs:\n{_logs(fleet)}")
        print("\nStopping ...", flush=True)
        # A second interrupt must not stop the cleanup.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def _folder() -> Iterator[Path]:
    """A temporary folder. It is in /tmp because the path of a socket may have at most 107 bytes,
    and because nginx's workers and the apps' user often cannot enter a home folder."""
    folder = Path(tempfile.mkdtemp(prefix="emperord-", dir="/tmp"))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder)


def _welcome(fleet: Fleet, home: Backend, place: Path, link: str, has_tables: bool) -> str:
    """What runs and what to try, in the folder `place` of the balancer. Each command is on a line
    of its own, to be pasted."""
    (place / "emperorctl").symlink_to(BIN / "emperorctl")
    values = {
        "folder": place,
        "home": home.folder,
        "home_address": home.address,
        "run_dir": home.run_dir,
        "console": link,
        "password": fleet.password,
        "http": fleet.http,
        "https": fleet.https,
        "idle": IDLE_SECONDS,
        "sudo": "sudo " if "SUDO_USER" in os.environ else "",
    }
    more = MORE.format_map(values)
    (place / "more.txt").write_text(more)
    return TEXT.format_map(values) + (MORE_IS_THERE if has_tables else more) + END


def _home_of(domain: str, fleet: Fleet, backends: Path) -> Backend:
    """The backend that the balancer chooses for a domain."""
    address = route_of(domain, Placement(backends, Rule.STOCK)).backend
    [home] = [each for each in fleet.backends if each.address == address]
    return home


def _logs(fleet: Fleet) -> str:
    return "\n".join(each.log.read_text(errors="replace") for each in fleet.backends)


if __name__ == "__main__":
    main()
