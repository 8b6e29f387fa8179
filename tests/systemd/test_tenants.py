"""Two accounts on an installed machine: what mallory's app tries against alice and the daemon."""

import json

from tests.eventually import eventually
from tests.systemd.box import Box
from tests.systemd.installation import ROOT
from tests.systemd.service import APPS, get, show, write

MINE, HERS = "mallory.example", "alice.example"
FAILED = (
    "lock", "list inis", "read an ini", "add an ini", "cut the log", "read a log", "connect",
    "activate",
)  # fmt: skip
LONE = ("pgrep", "--full", "--", "^/srv/lone")


def host(box: Box, account: str, app: str, more: str = "") -> str:
    """An ini of that account's, for one of tests/apps, and its path."""
    path = f"/etc/uwsgi/vassals/{account}.example.ini"
    write(box, f"/srv/{app}", (APPS / app).read_text())
    write(box, "/srv/draft", f"[uwsgi]\nfile = /srv/{app}\n{more}\n")
    box.must("chown", f"{account}:", "/srv/draft")
    box.must("chmod", "0600", "/srv/draft")
    box.must("mv", "/srv/draft", path)
    socket = f"/var/sockets/{account}.example/socket"
    eventually(lambda: box.run("test", "-S", socket).returncode == 0, what=socket)
    return path


def test_an_account_gets_nothing_of_another_or_the_daemon(box: Box) -> None:
    for account in ("mallory", "alice", "dora"):
        box.must("useradd", "--create-home", account)
    box.must("systemctl", "start", "emperord", "nginx")
    host(box, "alice", "plain.py")
    assert get(box, HERS).startswith("200 ")
    assert box.run("test", "-s", f"/var/lib/emperord/read-ahead/{HERS}").returncode == 0
    write(box, "/home/dora/app/part.py", "")
    box.must("chown", "--recursive", "dora:", "/home/dora/app")
    host(box, "dora", "plain.py", "pythonpath = /home/dora/app")
    ini = host(box, "mallory", "burglar.py")
    before = show(box, "MainPID", "ActiveState", "SubState")

    status, _, body = get(box, MINE).partition(" ")
    found = json.loads(body)
    assert status == "200"
    assert {name: found[name] for name in FAILED} == dict.fromkeys(FAILED, "failed")
    assert found["settings"] == "403"
    assert HERS not in found["status"]
    assert MINE in found["status"]
    assert found["home"] == "/home/mallory"
    assert not {"NOTIFY_SOCKET", "WATCHDOG_PID", "INVOCATION_ID"} & set(found["environment"])
    assert found["rights"] == [f"Cap{kind}:\t{0:016}" for kind in ("Eff", "Bnd")] + [
        "NoNewPrivs:\t1"
    ]

    # The site passes to alice. What mallory has left behind must not answer her visitors.
    assert box.run(*LONE).returncode == 0
    box.must("cp", "/srv/plain.py", "/srv/burglar.py")
    box.must("chown", "alice:", ini)
    box.must("touch", ini)
    eventually(lambda: box.run(*LONE).returncode, what="mallory's process is gone")
    assert get(box, MINE).split()[2] == MINE

    write(box, "/home/mallory/own.example.ini", "[uwsgi]\nset = a=@(exec://id -u >>/srv/users)\n")
    box.must("touch", "/srv/users")
    box.must("chmod", "0666", "/srv/users")
    for owner in ("mallory", "root"):
        box.must("chown", "mallory:", "/home/mallory")
        box.must("chown", owner, "/home/mallory/own.example.ini")
        box.run("emperorctl", "check", "/home/mallory/own.example.ini")
    assert "0" not in box.must("cat", "/srv/users").split()
    assert show(box, *before) == before
    assert "taken" not in show(box, "StatusText")["StatusText"]

    byte_code = "/home/dora/app/__pycache__/part.*"
    eventually(lambda: box.run("sh", "-c", f"stat -c %U {byte_code}").stdout == "dora\n")

    # The settings of a new installation let no app run as root.
    write(box, "/etc/uwsgi/vassals/root.example.ini", "[uwsgi]\nfile = /srv/plain.py\n")
    no_user = "names no user, so its app would run as root"
    eventually(lambda: no_user in box.must("emperorctl", "status"), what=no_user)

    # docs/security.md, "How to harden further".
    write(box, "/srv/view", (ROOT / "docs/examples/uwsgi-in-a-view").read_text())
    box.must("chmod", "0755", "/srv/view")
    write(box, "/etc/uwsgi/emperord.ini", "[emperord]\nuwsgi-binary = /srv/view\n")
    box.must("systemctl", "reload", "emperord")
    host(box, "dora", "curious.py", "env = PROGRAM=ls /home; id -un; umount /home 2>&1; ls /home")
    assert get(box, "dora.example").split("\n")[:2] == ["200 dora", "dora"]
    assert get(box, "dora.example").split("\n")[-1] == "dora"
