"""What a test asks of the service in a box, and does to it, as an administrator would."""

from pathlib import Path

from tests.eventually import eventually
from tests.systemd.box import Box

APPS = Path(__file__).parents[1] / "apps"
_GET = """\
import sys, http.client
connection = http.client.HTTPConnection('127.0.0.1', timeout=30)
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
    """The daemon's pid in the box, which runs."""
    pid = int(show(box, "MainPID")["MainPID"])
    assert pid, "kill(1) would take 0 for our own group"
    return pid


def left_over(box: Box) -> str:
    """The processes of the service, one on a line."""
    group = "system.slice/emperord.service/cgroup.procs"
    either = f"/sys/fs/cgroup/{group} /sys/fs/cgroup/*/{group}"
    script = f"cat {either} 2>/dev/null | sort -u | xargs -r ps -o pid=,args= -p"
    return box.must("sh", "-c", script)
