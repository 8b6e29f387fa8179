"""A tenant must learn nothing of others on the daemon's sockets, order nothing but its own, and
keep nobody from them."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.attacks.peers import Ended, as_tenant, ask, ask_json, emperorctl, following
from tests.attacks.tenants import ALICE, MALLORY, UIDS, Tenants
from tests.eventually import eventually
from tests.nginx_server import Nginx

OPERATORS = 37
MINE, HERS = "mallory.example", "alice.example"
# Prints the path of each request.
TELLER = """\
def application(environ, start_response):
    print(environ["PATH_INFO"], flush=True)
    start_response("200 OK", [])
    return []
"""


@pytest.fixture(scope="module")
def tenants(folder: Path) -> Iterator[Tenants]:
    """A site of each tenant's, and one of root's. The group of the administrators is OPERATORS."""
    with Nginx(folder) as nginx, Tenants(folder, nginx, control_group=str(OPERATORS)) as tenants:
        tenants.host(MALLORY, MINE)
        tenants.host(ALICE, HERS, http_socket=f"@{folder.name}")
        tenants.add("root.example")
        yield tenants


@pytest.fixture
def control(tenants: Tenants) -> Path:
    return tenants.run_dir / "control.sock"


def _names(report: object) -> list[str]:
    assert isinstance(report, dict)
    return [vassal["name"] for vassal in report["vassals"]]


def test_a_tenant_sees_its_own_site_alone(control: Path) -> None:
    assert _names(ask_json(MALLORY, control, "/v1/status")) == [MINE]
    assert _names(ask_json(ALICE, control, "/v1/status")) == [HERS]
    for path in ("/metrics", "/v1/events?follow=0"):
        assert "alice" not in ask(MALLORY, control, "GET", path)[1]


def test_the_group_of_administrators_does_all(control: Path) -> None:
    operator = [OPERATORS]
    names = _names(ask_json(MALLORY, control, "/v1/status", operator))
    assert names == [HERS, MINE, "root.example"]
    assert ask(MALLORY, control, "POST", "/v1/rescan", operator)[0] == 200


def test_a_neighbours_site_cannot_be_told_from_none(tenants: Tenants, control: Path) -> None:
    for method, path in (
        ("GET", "/v1/vassals/{}"), ("GET", "/v1/hosts/{}"), ("POST", "/v1/vassals/{}/start"),
        ("POST", "/v1/vassals/{}/maintenance-on"),
    ):  # fmt: skip
        unknown = ask(MALLORY, control, method, path.format("nobody.example"))
        assert unknown[0] == 404
        for host in (HERS, "root.example"):
            told = ask(MALLORY, control, method, path.format(host))
            assert told == (404, unknown[1].replace("nobody.example", host))
    assert tenants.state(HERS) == "parked"


def test_the_daemon_takes_no_order_of_a_tenant(tenants: Tenants, control: Path) -> None:
    before = tenants.call("GET", "/v1/status")[1]["emperor"]
    for order in ("upgrade", "drain", "undrain", "rescan"):
        status, body = ask(MALLORY, control, "POST", f"/v1/{order}")
        assert (status, json.loads(body)["code"]) == (403, "forbidden")
    assert ask(MALLORY, control, "GET", "/v1/settings")[0] == 403
    after = tenants.call("GET", "/v1/status")[1]["emperor"]
    assert after["instance_id"] == before["instance_id"]
    assert after["draining_since"] is None


def test_each_order_names_its_user(tenants: Tenants, control: Path) -> None:
    assert ask(MALLORY, control, "POST", f"/v1/vassals/{MINE}/start")[0] == 200
    by = f"emperorctl start by uid {UIDS[MALLORY]}"
    assert tenants.detail(MINE)["wake"]["by"] == by
    assert len(tenants.lines(f"INFO {MINE}: {by}$")) == 1
    assert tenants.lines(f"INFO {MINE}: parked → starting: {by}$")
    assert ask(MALLORY, control, "POST", f"/v1/vassals/{MINE}/sleep")[0] == 200


def test_a_conflict_does_not_say_whose_the_socket_is(tenants: Tenants, control: Path) -> None:
    tenants.expect("greedy.example.ini")
    draft = tenants.folder / "greedy"
    claim = f"@{tenants.folder.name}"
    draft.write_text(tenants.ini("greedy.example", http_socket=claim))
    draft.chmod(0o600)
    os.chown(draft, UIDS[MALLORY], -1)
    draft.rename(tenants.vassals / "greedy.example.ini")
    eventually(lambda: tenants.call("GET", "/v1/status")[1]["refused"], what="it is refused")
    [refused] = ask_json(MALLORY, control, "/v1/status")["refused"]
    assert refused["error"] == (
        f"cannot serve greedy.example.ini: greedy.example.ini claims the socket {claim}, which an"
        " app of another user has; drop it"
    )
    assert not ask_json(ALICE, control, "/v1/status")["refused"]
    assert tenants.lines("greedy.example.ini: alice.example.ini has it"), "root can find out"
    tenants.remove("greedy.example")
    eventually(lambda: not tenants.call("GET", "/v1/status")[1]["refused"], what="it is gone")


def test_a_tenant_cannot_ask_on_nginxs_socket(tenants: Tenants) -> None:
    activate = tenants.run_dir / "activate.sock"
    with pytest.raises(PermissionError):
        ask(MALLORY, activate, "GET", "/")
    assert activate.stat().st_mode & 0o777 == 0o660


HOLD = """\
import resource, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (2000, 2000))
kept = []
for _ in range(1000):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(sys.argv[1])
    try:
        connection.send(sys.argv[2].encode())
    except OSError:
        pass
    kept.append(connection)
print("held", flush=True)
time.sleep(600)
"""
FLOOD = """\
import socket, sys
print("begun", flush=True)
while True:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(sys.argv[1])
"""
BUSY = """\
import socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
print("begun", flush=True)
while True:
    connection.send(b"GET /v1/status HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    connection.recv(100000)
"""
# The daemon cannot get rid of its answers.
DEAF = """\
import socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
connection.connect(sys.argv[1])
print("begun", flush=True)
while True:
    connection.sendall(b"GET /v1/vassals/mallory.example/log HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
"""


@contextmanager
def _attack(script: str, *words: str, times: int = 1) -> Iterator[None]:
    """Run an attacker, or several, as mallory."""
    command = as_tenant(MALLORY, "/usr/bin/python3", "-c", script, *words)
    attackers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(times)]
    try:
        for attacker in attackers:
            assert attacker.stdout
            assert attacker.stdout.readline()
        yield
    finally:
        for attacker in attackers:
            attacker.kill()
            attacker.communicate()


@pytest.mark.parametrize(
    ("script", "words", "times"),
    [
        (HOLD, ("",), 1),
        (HOLD, ("GET /v1/status HTTP/1.1\r\nHost:",), 1),
        (
            HOLD,
            ("POST /v1/vassals/x/start HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",),
            1,
        ),
        (HOLD, ("GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n",), 1),
        (HOLD, (f"GET /v1/vassals/{MINE}/log?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n",), 1),
        (BUSY, (), 20),
        (DEAF, (), 20),
    ],
    ids=[
        "silent",
        "half a request",
        "half a body",
        "event streams",
        "log streams",
        "busy clients",
        "clients that read nothing",
    ],
)
def test_a_tenants_connections_keep_nobody_out(
    tenants: Tenants, control: Path, script: str, words: tuple[str, ...], times: int
) -> None:
    assert ask(MALLORY, control, "POST", f"/v1/vassals/{MINE}/start")[0] == 200  # it has a log
    with _attack(script, str(control), *words, times=times):
        longest = 0.0
        for _ in range(20):
            began = time.monotonic()
            assert tenants.call("GET", "/v1/status")[0] == 200
            longest = max(longest, time.monotonic() - began)
        assert longest < 10, "a machine may be busy, and a lock-out lasts"
        assert _names(ask_json(ALICE, control, "/v1/status")) == [HERS]
        assert tenants.fds < 300
    eventually(lambda: ask_json(MALLORY, control, "/v1/status"), what="its seats are free again")
    assert ask(MALLORY, control, "POST", f"/v1/vassals/{MINE}/sleep")[0] == 200


def test_a_flood_of_connections_keeps_nobody_out(tenants: Tenants, control: Path) -> None:
    with _attack(FLOOD, str(control), times=4):
        for _ in range(3):
            assert _names(ask_json(ALICE, control, "/v1/status")) == [HERS]
        for status in emperorctl("root", tenants.run_dir, *["status"] * 5):
            assert (status.status, status.err) == (0, "")
        assert tenants.get(HERS).status == 200
    assert ask(ALICE, control, "POST", f"/v1/vassals/{HERS}/sleep")[0] == 200


def test_what_is_no_http_fills_no_log(tenants: Tenants, control: Path) -> None:
    before = tenants.log.stat().st_size
    script = (
        "import socket, sys; s = socket.socket(1); s.connect(sys.argv[1]);"
        "s.send(sys.argv[2].encode()); s.recv(1)"
    )
    order = f"POST /console/vassals/{MINE}/start HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
    for request in ("x\r\n\r\n", f"{order}Content-Encoding: gzip\r\n\r\nx"):
        subprocess.run(
            as_tenant(MALLORY, "/usr/bin/python3", "-c", script, str(control), request), check=True
        )
    assert tenants.call("GET", "/v1/status")[0] == 200
    assert tenants.log.stat().st_size == before


def test_emperorctl_of_a_tenant(tenants: Tenants) -> None:
    status, everything, why, hidden, drain, sleep = emperorctl(
        MALLORY, tenants.run_dir, "status", "start --all", f"why {MINE}", f"why {HERS}", "drain",
        f"sleep {MINE}",
    )  # fmt: skip
    assert (status.status, status.err) == (0, "")
    assert MINE in status.out
    assert "1 parked" in status.out
    assert "alice" not in status.out
    assert everything.status == why.status == sleep.status == 0
    assert "1 done" in everything.out
    assert f"emperorctl start by uid {UIDS[MALLORY]}" in why.out
    assert tenants.state(HERS) == "parked"
    assert hidden == Ended(3, "", f"emperorctl: there is no vassal {HERS}\n")
    assert drain.status == 1
    assert drain.err.startswith("emperorctl: cannot drain: that is for root and the members of")


def test_a_tenant_reads_its_own_log_alone(tenants: Tenants, control: Path) -> None:
    assert ask(MALLORY, control, "POST", f"/v1/vassals/{MINE}/start")[0] == 200
    own, *hers = emperorctl(
        MALLORY, tenants.run_dir, f"logs {MINE} -n 1000", f"logs {HERS}", f"logs -f {HERS}"
    )
    assert (own.status, own.err) == (0, "")
    assert own.out == (tenants.logs / f"{MINE}.log").read_text()
    assert "uWSGI" in own.out
    assert hers == [Ended(3, "", f"emperorctl: there is no vassal {HERS}\n")] * 2
    for path in (f"/v1/vassals/{HERS}/log", f"/v1/vassals/{HERS}/log?follow=1"):
        assert ask(MALLORY, control, "GET", path)[0] == 404
    assert ask(MALLORY, control, "POST", f"/v1/vassals/{MINE}/sleep")[0] == 200


def _until(program: "subprocess.Popen[str]", word: str) -> None:
    """Read what it prints up to a line with that word."""
    assert program.stdout
    assert any(word in line for line in program.stdout)


def test_a_tenant_follows_its_own_log_alone(tenants: Tenants) -> None:
    domain, app = "followed.example", tenants.folder / "teller.py"
    app.write_text(TELLER)
    tenants.host(MALLORY, domain, file=str(app))
    assert tenants.get(domain, "/first").status == 200
    with following(MALLORY, tenants.run_dir, domain) as program:
        for word in ("/first", "/second", "/third"):
            _until(program, word)
            tenants.get(domain, "/second" if word == "/first" else "/third")
        tenants.remove(domain)
        tenants.until(domain, None)
        tenants.host(ALICE, domain, file=str(app))
        assert tenants.get(domain, "/secret").status == 200
        out, err = program.communicate()
    assert "/secret" not in out
    assert err.startswith("emperorctl: emperord sends no more of this log: it has ended, or ")
    assert program.returncode == 4
    tenants.remove(domain)
    tenants.until(domain, None)


def test_a_follower_that_leaves_leaves_nothing(tenants: Tenants, control: Path) -> None:
    assert tenants.get(MINE).status == 200
    with following(MALLORY, tenants.run_dir, MINE) as program:
        _until(program, "Emperor")
        before = tenants.fds
    eventually(lambda: tenants.fds == before - 1, what="its connection is closed")
    assert ask(MALLORY, control, "POST", f"/v1/vassals/{MINE}/sleep")[0] == 200


def test_a_log_does_not_pass_to_the_next_tenant(tenants: Tenants, control: Path) -> None:
    tenants.host(ALICE, "sold.example", env="WHOSE=alice")
    assert ask(ALICE, control, "POST", "/v1/vassals/sold.example/start")[0] == 200
    log = tenants.logs / "sold.example.log"
    written = log.read_text()
    tenants.remove("sold.example")
    tenants.until("sold.example", None)

    tenants.host(MALLORY, "sold.example")
    status, body = ask(MALLORY, control, "GET", "/v1/vassals/sold.example/log")
    assert (status, json.loads(body)["code"]) == (404, "no-log")
    assert ask(MALLORY, control, "POST", "/v1/vassals/sold.example/start")[0] == 200
    status, new = ask(MALLORY, control, "GET", "/v1/vassals/sold.example/log?lines=100000")
    assert (status, new.rstrip()) == (200, log.read_text().rstrip())
    aside = tenants.logs / f"sold.example.log.of-uid-{UIDS[ALICE]}"
    assert aside.read_text().startswith(written)
    assert written not in new
    tenants.remove("sold.example")
    tenants.until("sold.example", None)


def test_the_console_shows_a_tenant_its_own_alone(tenants: Tenants, control: Path) -> None:
    for path in ("", "vassals", "events?past=100&follow=0"):
        status, body = ask(MALLORY, control, "GET", f"/console/{path}")
        assert status == 200
        assert not {word for word in ("alice", "root.example", "lp") if word in body.split()}
        assert HERS not in body
    for host in (HERS, "root.example", "nobody.example"):
        assert ask(MALLORY, control, "GET", f"/console/vassals/{host}")[0] == 404
        assert ask(MALLORY, control, "GET", f"/console/vassals/{host}/log")[0] == 404
        assert ask(MALLORY, control, "POST", f"/console/vassals/{host}/start")[0] == 403
    assert tenants.state(HERS) == "parked"


@pytest.mark.parametrize(("mode", "is_shown"), [(0o600, False), (0o644, True)])
def test_the_console_shows_an_ini_to_whom_its_file_does(
    tenants: Tenants, control: Path, mode: int, is_shown: bool
) -> None:
    domain = f"secret{mode}.example"
    draft = tenants.folder / domain
    section = f"[emperor]\nuid = {MALLORY}\n"
    draft.write_text(tenants.ini(domain, env="PASSWORD=tell-nobody") + section)
    draft.chmod(mode)
    draft.rename(tenants.vassals / f"{domain}.ini")
    tenants.until(domain, "parked")
    for groups in ((), (OPERATORS,)):
        status, body = ask(MALLORY, control, "GET", f"/console/vassals/{domain}", groups)
        assert status == 200
        assert ("tell-nobody" in body) is is_shown
    assert "tell-nobody" in tenants.call("GET", f"/console/vassals/{domain}")[1]
    tenants.remove(domain)
    tenants.until(domain, None)
