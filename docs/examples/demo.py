"""`make run`: a load balancer and two backends on loopback, with three sample apps, in a folder of
their own.

It shows the status until Ctrl-C, and then leaves nothing behind. What it runs is what is shipped:
the configuration of nginx/ and lua/ and the inis of docs/examples/vassals, with other paths,
addresses and ports.
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

from docs.examples import backend, balancer
from docs.examples.layout import BACKENDS, BALANCER, BIN, IDLE_SECONDS, Fleet, lay_out
from docs.examples.machines import DemoError, emperords, free_port, nginx
from docs.examples.screen import watch
from emperor.cli.placement import Placement, Rule
from emperor.cli.route import line, route_of

TEXT = """
A load balancer and two backends are up, with three apps that sleep on each. Whose app it is, the
balancer's hash of its name decides; ask the balancer's own Lua:

  {route}

{routes}

Wake them, here or in a browser (the admin of Django's: admin, {password}):

  curl http://django.localhost:{http}/
  curl http://flask.localhost:{http}/
  curl http://welcome.localhost:{http}/
  curl -H 'Host: flask.localhost' -d hello http://127.0.0.1:{http}/echo
  curl -k https://welcome.localhost:{https}/
  http://django.localhost:{http}/admin/

After {idle} s without a visitor they sleep again. Ask and steer:

  {emperorctl} why flask.localhost
  {emperorctl} logs flask.localhost
  {emperorctl} reload flask.localhost

Kill the nginx of the backend that flask.localhost belongs to, and the other one answers, as the end
of the balancer's log says (own= whose app it is, up= who was asked). Then bring it back, and within
two seconds its apps are at home again:

  {nginx} -s stop
  curl http://flask.localhost:{http}/
  tail -n 1 {log}
  {nginx}

Or drain it, as before an upgrade, and within two seconds the other one answers. Then undo it:

  {emperorctl} drain
  {emperorctl} undrain

Ctrl-C stops everything and leaves nothing behind.
"""


def main() -> None:
    """Run it as root, which nginx and users for apps need, and turn an error into a message."""
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="the first one to try [8080]")
    port = parser.parse_args().port
    if os.geteuid() != 0:
        os.execvp("sudo", ["sudo", sys.executable, "-m", "docs.examples.demo", f"--port={port}"])
    # SIGINT too: who is started with `&` finds it ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        run(port)
    except DemoError as error:
        sys.exit(str(error))


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
                conf = backend.render(machine.folder, http, https, machine.address)
                stack.enter_context(nginx(conf))
            conf = balancer.render(folder / "balancer", http, https, BACKENDS)
            stack.enter_context(nginx(conf))
            print(_welcome(fleet, conf), flush=True)
            asyncio.run(watch(fleet.backends))
            raise DemoError(f"every emperord has ended; their logs:\n{_logs(fleet)}")
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


def _welcome(fleet: Fleet, balancer_conf: Path) -> str:
    """What there is, and what to try: each command on a line of its own, as it can be pasted."""
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
