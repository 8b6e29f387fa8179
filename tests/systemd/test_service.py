"""The shipped unit on a real systemd, behind the shipped nginx, with the paths of production."""

from tests.eventually import eventually
from tests.systemd.box import Box
from tests.systemd.conftest import ROOT

UNIT = "/etc/systemd/system/emperord.service"
VASSAL = "/etc/uwsgi/vassals/app.example.ini"
INI = f"""\
[uwsgi]
socket = /var/sockets/app.example/socket
file = {ROOT}/tests/apps/plain.py
idle = 93600
"""


def show(box: Box, *names: str) -> dict[str, str]:
    """Properties of the service."""
    lines = box.must("systemctl", "show", f"--property={','.join(names)}", "emperord").splitlines()
    return dict(line.split("=", 1) for line in lines)


def get(box: Box, host: str) -> str:
    """The status of a request to nginx on port 80 of the box."""
    script = (
        "import sys, http.client\n"
        "connection = http.client.HTTPConnection('127.0.0.1', timeout=30)\n"
        "connection.request('GET', '/', headers={'Host': sys.argv[1]})\n"
        "print(connection.getresponse().status)"
    )
    return box.must("/usr/bin/python3", "-c", script, host).strip()


def test_systemd_finds_nothing_to_complain_of_in_the_unit(box: Box) -> None:
    assert box.must("systemd-analyze", "verify", "--man=no", UNIT) == ""


def test_it_starts_serves_and_stops(box: Box) -> None:
    box.must("systemctl", "start", "emperord", "nginx")
    assert show(box, "ActiveState", "StatusText") == {
        "ActiveState": "active",
        "StatusText": "no vassals",
    }

    box.must("sh", "-c", 'printf %s "$1" > /etc/app.ini && mv /etc/app.ini "$2"', "", INI, VASSAL)
    eventually(lambda: box.run("test", "-S", "/var/sockets/app.example/socket").returncode == 0)
    eventually(lambda: show(box, "StatusText") == {"StatusText": "1 parked"})
    assert get(box, "unknown.example") == "404"
    assert get(box, "app.example") == "200"
    eventually(lambda: "1 running" in box.must("systemctl", "status", "emperord"))
    assert "app.example" in box.must("/opt/emperord/bin/emperorctl", "status")
    log = box.must("stat", "--format=%U:%G %a", "/var/log/emperord/app.example.log")
    assert log.strip() == "root:emperor 640", "who may use emperorctl may read it"

    box.must("systemctl", "stop", "emperord")
    assert show(box, "ActiveState", "Result", "ExecMainStatus") == {
        "ActiveState": "inactive",
        "Result": "success",
        "ExecMainStatus": "0",
    }
    assert box.run("pgrep", "-f", "emperord|uwsgi").returncode == 1
    assert box.must("ls", "/var/sockets") == ""
    assert get(box, "app.example") == "503"


def test_a_reload_looks_at_the_folder_again(box: Box) -> None:
    box.must("systemctl", "start", "emperord")
    before = show(box, "ActiveState", "MainPID")
    box.must("systemctl", "reload", "emperord")
    assert show(box, "ActiveState", "MainPID") == before


def test_the_group_emperor_may_ask_the_daemon_and_others_may_not(box: Box) -> None:
    """By the interpreter alone: nobody can enter a checkout below /root."""
    box.must("systemctl", "start", "emperord")
    script = "import socket; socket.socket(socket.AF_UNIX).connect('/run/emperord/control.sock')"
    as_nobody = ("setpriv", "--reuid=nobody", "--regid=nogroup")
    connect = ("/usr/bin/python3", "-c", script)
    box.must(*as_nobody, "--groups=emperor", *connect)
    assert "PermissionError" in box.run(*as_nobody, "--clear-groups", *connect).stdout
