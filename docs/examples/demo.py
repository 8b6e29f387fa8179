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
from docs.examples.layout import BACKENDS, BALANCER, BIN, IDLE_SECONDS, Fleet, lay_out
from docs.examples.machines import DemoError, emperords, free_port, nginx
from docs.examples.screen import watch
from emperor.cli.placement import Placement, Rule
from emperor.cli.route import line, route_of

TEXT = """
A load balancer and two backends are running. Each backend has the same three
apps, and all of them are asleep. For each request, the balancer chooses a
backend by a hash of the host name. This command runs the balancer's Lua code
and prints its choice:

  {route}

{routes}

Wake the apps, here or in a browser. The admin of Django has the user "admin"
with the password "{password}".

  curl http://django.localhost:{http}/
  curl http://flask.localhost:{http}/
  curl http://welcome.localhost:{http}/
  curl -H 'Host: flask.localhost' -d hello http://127.0.0.1:{http}/echo
  curl -k https://welcome.localhost:{https}/
  http://django.localhost:{http}/admin/

An app without requests falls asleep after {idle} seconds. To inspect and control
an app:

  {emperorctl} why flask.localhost
  {emperorctl} logs flask.localhost
  {emperorctl} reload flask.localhost

Stop the nginx of flask.localhost's backend. The other backend then answers.
The last line of the balancer's log shows it: own= is the domain's backend, up=
are the backends that were asked. After nginx is started again, the balancer
uses it again within two seconds.

  {nginx} -s stop
  curl http://flask.localhost:{http}/
  tail -n 1 {log}
  {nginx}

Or drain that backend, as before an upgrade of the machine. Within two seconds
the other backend answers. Then end the drain:

  {emperorctl} drain
  {emperorctl} undrain

Ctrl-C stops everything and removes the demo's files.
"""


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
            print(_welcome(fleet, conf), flush=True)
            asyncio.run(watch(fleet.backends))
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


def _welcome(fleet: Fleet, balancer_conf: Path) -> str:
    """What runs and what to try. Each command is on a line of its own, to be pasted."""
    backends = balancer_conf.parent / "lua" / "init_backends.lua"
    placement = Placement(backends, Rule.STOCK)
    routes = [route_of(domain, placement) for domain in fleet.domains]
    homes = {each.host: each.backend for each in routes}
    [home] = [each for each in fleet.backends if each.address == homes["flask.localhost"]]
    sudo = "sudo " if "SUDO_USER" in os.environ else ""
    return TEXT.format(
        route=f"{BIN / 'emperorctl'} route --backends {backends} {' '.join(fleet.domains)}",
        routes="\n".join(f"    {line(each, len(BACKENDS)).plain}" for each in routes),
        password=fleet.password,
        http=fleet.http,
        https=fleet.https,
        idle=IDLE_SECONDS,
        emperorctl=f"{sudo}{BIN / 'emperorctl'} --run-dir {home.run_dir}",
        nginx=f"{sudo}nginx -c {home.nginx_conf}",
        log=balancer_conf.with_name("access.log"),
    )


def _logs(fleet: Fleet) -> str:
    return "\n".join(each.log.read_text(errors="replace") for each in fleet.backends)


if __name__ == "__main__":
    main()
