"""What a test asks of the service in a box, and does to it, as an administrator would."""

import json
import os
import signal
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.eventually import eventually
from tests.systemd.box import Box

APPS = Path(__file__).parents[1] / "apps"
# Where the apps of a test under load note the requests that they run.
PLACE = "/srv/load"
RUNS = f"{PLACE}/runs"
NOTED = f"env = RUNS={RUNS}"
_GET = """\
import sys, http.client
connection = http.client.HTTPConnection('127.0.0.1', timeout=60)
connection.request('GET', '/', headers={'Host': sys.argv[1]})
response = connection.getresponse()
print(response.status, response.read().decode())
"""


def show(box: Box, *names: str) -> dict[str, str]:
    """Properties of the service."""
    lines = box.must("systemctl", "show", f"--property={','.join(names)}", "emperord").splitlines()
    return dict(line.split("=", 1) for line in lines)


def get(box: Box, host: str) -> str:
    """The status of a request to nginx on port 80 of the box, and the body."""
    return box.must("/usr/bin/python3", "-c", _GET, host).strip()


def write(box: Box, path: str, text: str) -> None:
    """Put a text file where it belongs, whole, and with the folders on its way."""
    script = 'mkdir -p "${2%/*}" && printf %s "$1" > /etc/draft && mv /etc/draft "$2"'
    box.must("sh", "-c", script, "", text, path)


def add(box: Box, domain: str, app: str = "plain.py", more: str = "") -> None:
    """Drop an ini for one of tests/apps, ending with the lines `more`, and wait for its socket.

    The app is copied to where every user can read it.
    """
    if "[emperor]" not in more:
        more += "\n[emperor]\nallow-root = true"
    ini = f"""\
[uwsgi]
socket = /var/sockets/{domain}/socket
file = /srv/{app}
idle = 93600
{more}
"""
    write(box, f"/srv/{app}", (APPS / app).read_text())
    write(box, f"/etc/uwsgi/vassals/{domain}.ini", ini)
    socket = f"/var/sockets/{domain}/socket"
    eventually(lambda: box.run("test", "-S", socket).returncode == 0, what=socket)


def override(box: Box, settings: str) -> None:
    """What `systemctl edit emperord` does, in the section [Service]."""
    path = "/etc/systemd/system/emperord.service.d/test.conf"
    write(box, path, f"[Service]\n{settings}\n")
    box.must("systemctl", "daemon-reload")


def daemon(box: Box) -> int:
    """The pid, in the box, of the daemon, which runs."""
    pid = int(show(box, "MainPID")["MainPID"])
    assert pid, "kill(1) would take 0 for our own group"
    return pid


def journal(box: Box, *options: str) -> str:
    """What the journal has of the service, with all that was sent to it before."""
    box.must("journalctl", "--sync")
    return box.must("journalctl", *(options or ["--unit=emperord"]))


def left_over(box: Box) -> str:
    """The processes of the service, one on a line."""
    script = (
        "find /sys/fs/cgroup -path '*/system.slice/emperord*.service/*' -name cgroup.procs"
        " -exec cat {} + 2>/dev/null | sort -u | xargs -r ps -o pid=,args= -p"
    )
    processes = box.must("sh", "-c", script).splitlines()
    return "\n".join(line for line in processes if "/bin/sleep infinity" not in line)


def crash(box: Box) -> float:
    """`kill -9` of the daemon, until the next one serves: after so many seconds, as systemd saw
    it."""
    before = int(show(box, "NRestarts")["NRestarts"])
    box.must("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "emperord")
    after = {"NRestarts": str(before + 1), "ActiveState": "active", "SubState": "running"}
    eventually(lambda: show(box, *after) == after, what=f"restart {before + 1}")
    moments = show(box, "ActiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic")
    gone, back = (int(moment) / 1e6 for _, moment in sorted(moments.items(), reverse=True))
    return back - gone


def upgrade(box: Box) -> None:
    """`systemctl reload`, until the daemon has taken over from itself."""

    def times() -> int:
        return journal(box, "--unit=emperord", "--output=cat").count("took over ")

    before = times()
    box.must("systemctl", "reload", "emperord")
    eventually(lambda: times() == before + 1, what="the upgrade is done")


def leaders(box: Box, domains: Collection[str]) -> list[int]:
    """The pids of these apps' masters."""
    report = json.loads(box.must("emperorctl", "status", "--json", *domains))
    return [vassal["pid"] for vassal in report["vassals"]]


def version(box: Box) -> str:
    """The version of the daemon that serves."""
    running: str = json.loads(box.must("emperorctl", "status", "--json"))["emperor"]["version"]
    return running


class Load:
    """Visitors in the box."""

    def __init__(self, box: Box) -> None:
        self._box = box

    def _number(self, name: str) -> int:
        return int(self._box.must("cat", f"{PLACE}/{name}") or 0)

    def go_on(self) -> None:
        """Wait until some more requests were sent, and those before them were answered: nginx asks
        six times for a sleeping app, so a request survives as many crashes and no more."""
        before = self._number("sent")
        goal = before + 25
        eventually(lambda: self._number("sent") >= goal, what=f"{goal} requests were sent")
        eventually(
            lambda: self._number("answered") >= before, what=f"{before} requests were answered"
        )


@contextmanager
def under_load(box: Box, awake: Collection[str], asleep: Collection[str] = ()) -> Iterator[Load]:
    """Visitors come to these apps, which must be NOTED, until the block ends, most of them to the
    awake ones. In the end each request was answered with 200, and ran once."""
    load = Load(box)
    for name in ("sent", "answered"):
        write(box, f"{PLACE}/{name}", "0")
    write(box, f"{PLACE}/visitors.py", Path(__file__).with_name("visitors.py").read_text())
    visitors = (f"{PLACE}/visitors.py", PLACE, ",".join(awake), ",".join(asleep))
    with box.start("/usr/bin/python3", *visitors) as process:
        try:
            load.go_on()
            yield load
            load.go_on()
        finally:
            os.killpg(process.pid, signal.SIGTERM)
        printed, _ = process.communicate()
    report = json.loads(printed)
    assert not report["failed"], report
    runs = [run for run in box.must("cat", RUNS).splitlines() if not run.endswith(" -")]
    assert len(runs) == len(set(runs)) == report["sent"], "each ran once"
    print(f"{report['sent']} requests in {report['seconds']:.1f} s")
