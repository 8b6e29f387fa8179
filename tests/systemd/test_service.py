"""The shipped units on a real systemd, behind the shipped nginx, with the paths of production."""

import json
import re

from tests.eventually import eventually
from tests.systemd.box import Box
from tests.systemd.service import (
    add,
    daemon,
    get,
    journal,
    leaders,
    left_over,
    override,
    show,
    write,
)


def test_systemd_finds_nothing_to_complain_of_in_the_units(box: Box) -> None:
    sockets = ("emperord.socket", "emperord-control.socket", "emperord-console.socket")
    names = ("emperord", "emperord-apps", "emperord-console", "emperord-balancer")
    services = [f"{name}.service" for name in names]
    for unit in (*services, *sockets):
        assert box.must("systemd-analyze", "verify", "--man=no", unit) == ""


def test_it_starts_serves_and_stops(box: Box) -> None:
    box.must("systemctl", "start", "emperord", "nginx")
    assert show(box, "ActiveState", "StatusText") == {
        "ActiveState": "active",
        "StatusText": "no vassals",
    }

    add(box, "app.example")
    eventually(lambda: show(box, "StatusText") == {"StatusText": "1 parked"})
    assert get(box, "unknown.example").startswith("404 ")
    assert get(box, "app.example").startswith("200 ")
    eventually(lambda: "1 running" in box.must("systemctl", "status", "emperord"))
    assert "app.example" in box.must("emperorctl", "status")
    log = box.must("stat", "--format=%U:%G %a", "/var/log/emperord/app.example.log")
    assert log.strip() == "root:emperor 640", "who may use emperorctl may read it"

    box.must("systemctl", "stop", "emperord")
    assert show(box, "ActiveState", "Result", "ExecMainStatus") == {
        "ActiveState": "inactive",
        "Result": "success",
        "ExecMainStatus": "0",
    }
    assert left_over(box) == ""
    assert box.must("ls", "/var/sockets") == ""
    assert get(box, "app.example").startswith("503 ")


def test_the_journal_finds_the_lines_of_one_domain(box: Box) -> None:
    box.must("systemctl", "start", "emperord", "nginx")
    for domain in ("a.example", "b.example"):
        add(box, domain)
        assert get(box, domain).startswith("200 ")
    found = journal(box, "--unit=emperord", "--output=json", "DOMAIN=a.example")
    entries = [json.loads(line) for line in found.splitlines()]
    assert [entry.get("EVENT") for entry in entries] == [None, "demand", "accepting"]
    accepting = entries[-1]
    assert accepting["MESSAGE"].startswith("a.example: starting → running: ")
    assert accepting["LOGGER"] == "emperord.events"
    assert (accepting["PRIORITY"], accepting["SYSLOG_IDENTIFIER"]) == ("6", "emperord")
    [master] = leaders(box, ["a.example"])
    assert accepting["PID"] == str(master)


def test_a_traceback_is_one_entry_of_the_journal(box: Box) -> None:
    box.must("systemctl", "start", "emperord")
    script = (
        "import logging; from emperor.daemon import _set_up_log; _set_up_log(False)\n"
        "try: 1 / 0\n"
        "except ArithmeticError: logging.getLogger('x').exception('%s', 'line\\n' * 100_000)"
    )
    unit = ("systemd-run", "--wait", "--quiet", "--unit=it", "/opt/emperord/bin/python", "-c")
    box.must(*unit, script)
    [entry] = journal(box, "--unit=it", "--output=json", "--all", "LOGGER=x").splitlines()
    message = json.loads(entry)["MESSAGE"]
    assert message.count("line\n") == 100_000
    assert message.endswith("ZeroDivisionError: division by zero")


def test_a_reload_is_done_when_it_returns_and_keeps_the_pid(box: Box) -> None:
    box.must("systemctl", "start", "emperord")
    before = show(box, "ActiveState", "MainPID")
    write(box, "/etc/uwsgi/emperord.ini", "[emperord]\nactivation = socket\n")
    box.must("systemctl", "reload", "emperord")
    assert '"activation": "socket"' in box.must("emperorctl", "status", "--json")
    assert show(box, "ActiveState", "MainPID") == before


def test_a_reload_that_cannot_be_fails_and_says_why(box: Box) -> None:
    box.must("systemctl", "start", "emperord")
    before = show(box, "ActiveState", "MainPID", "NRestarts")
    write(box, "/etc/uwsgi/emperord.ini", "[emperord]\nidle = never\n")
    assert box.run("systemctl", "reload", "emperord").returncode == 1
    problem = "cannot upgrade: the new version does not start: .*cannot use idle = 'never'"
    eventually(lambda: re.search(problem, box.must("journalctl", "--unit=emperord")))
    assert show(box, "ActiveState", "MainPID", "NRestarts") == before
    box.must("emperorctl", "status")


def test_a_daemon_that_hangs_is_replaced(box: Box) -> None:
    override(box, "WatchdogSec=3")
    box.must("systemctl", "start", "emperord", "nginx")
    add(box, "app.example")
    hung = daemon(box)
    box.must("kill", "-STOP", str(hung))
    eventually(lambda: show(box, "ActiveState", "NRestarts")["NRestarts"] == "1")
    eventually(lambda: show(box, "ActiveState")["ActiveState"] == "active")
    assert daemon(box) != hung
    assert get(box, "app.example").startswith("200 ")


ASK = """
import http.client, socket
client = http.client.HTTPConnection("emperord")
client.sock = socket.socket(socket.AF_UNIX)
client.sock.connect("/run/emperord/{}")
client.request("GET", "/v1/settings")
print(client.getresponse().status)
"""


def test_only_the_group_emperor_may_ask_all_of_the_daemon(box: Box) -> None:
    """By the interpreter alone: the user nobody cannot enter a checkout below /root."""
    box.must("systemctl", "start", "emperord")
    as_nobody = ("setpriv", "--reuid=nobody", "--regid=nogroup")
    ask = ("/usr/bin/python3", "-c", ASK.format("control.sock"))
    assert box.must(*as_nobody, "--groups=emperor", *ask).strip() == "200"
    assert box.must(*as_nobody, "--clear-groups", *ask).strip() == "403"
    activate = ("/usr/bin/python3", "-c", ASK.format("activate.sock"))
    assert "PermissionError" in box.run(*as_nobody, "--groups=emperor", *activate).stdout
