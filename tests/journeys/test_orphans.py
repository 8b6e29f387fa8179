"""What an app starts beside its workers ends with it: at a nap, a crash, a reload and a stop."""

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.backend import Backend
from tests.eventually import eventually
from tests.nginx_server import free_ports

DEAF = "trap : TERM INT QUIT HUP; while :; do sleep 0.2; done"
SCRIPTS = {
    "attached": "exec {script}",
    "in its own session": "setsid {script} &",
    "forked twice": "(setsid {script} &) &",
    "without an environment": "env -i /usr/bin/setsid {script} & wait",
}


def helper(backend: Backend, name: str, how: str) -> str:
    """The command that starts the script NAME in that way."""
    script = backend.folder / name
    script.write_text(f"#!/bin/sh\n{DEAF}\n")
    script.chmod(0o755)
    starter = backend.folder / f"start-{name}"
    starter.write_text("#!/bin/sh\n" + how.format(script=script) + "\n")
    starter.chmod(0o755)
    return str(starter)


def left(backend: Backend, name: str) -> list[int]:
    """The pids of the processes that run the script NAME. The script forks; its child, which
    becomes another program at once, does not count."""
    script = str(backend.folder / name)
    parents = {
        process.pid: process.info["ppid"]
        for process in psutil.process_iter(["cmdline", "ppid"])
        if script in (process.info["cmdline"] or [])
    }
    return [pid for pid, parent in parents.items() if parent not in parents]


def start(backend: Backend, **options: str) -> None:
    backend.add("a.example", **options)
    assert backend.get("a.example").status == 200
    eventually(lambda: left(backend, "job"), what="the helper runs")


@pytest.mark.parametrize("how", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_no_helper_outlives_a_nap(backend: Backend, how: str) -> None:
    start(backend, attach_daemon=helper(backend, "job", how))
    assert backend.call("POST", "/v1/vassals/a.example/sleep")[0] == 200
    eventually(lambda: not left(backend, "job"), what="the helper is gone")
    eventually(lambda: not backend.children(), what="nothing is left")


def test_no_job_of_a_request_outlives_a_nap(backend: Backend) -> None:
    backend.add("a.example", "runaway.py")
    job = int(backend.get("a.example").text)
    assert backend.call("POST", "/v1/vassals/a.example/sleep")[0] == 200
    eventually(lambda: not psutil.pid_exists(job), what="the job is gone")


def test_no_helper_of_a_smart_daemon_outlives_a_nap(backend: Backend) -> None:
    command = helper(backend, "job", SCRIPTS["attached"])
    start(backend, smart_attach_daemon2=f"{backend.folder}/job.pid {command}")
    assert backend.call("POST", "/v1/vassals/a.example/sleep")[0] == 200
    eventually(lambda: not left(backend, "job"), what="the helper is gone")
    assert backend.get("a.example").status == 200
    eventually(lambda: left(backend, "job"), what="it runs again")


FORMS = {
    "attach-daemon2": "attach-daemon2 = cmd=START,stopsignal=9,freq=2",
    "of a pidfile": "attach-daemon2 = cmd=BEHIND,pidfile=DIR/job.pid,freq=1",
    "daemonized": "attach-daemon2 = cmd=START,pidfile=DIR/job.pid,daemonize=1",
    "control": "attach-control-daemon = START",
    "smart": "smart-attach-daemon = DIR/job.pid BEHIND",
    "smart2": "smart-attach-daemon2 = DIR/job.pid START",
    "of a legion": "legion-attach-daemon = l START",
    "smart of a legion": "legion-smart-attach-daemon = l DIR/job.pid BEHIND",
}
LEGION = """\
legion = l 127.0.0.1:PORT 1 aes-128-cbc:secretsecret
legion-node = l 127.0.0.1:PORT
legion-quorum = l 1
"""


def of_form(backend: Backend, form: str) -> str:
    """The options of a helper in one of the ways that uWSGI has for that."""
    script = backend.folder / "behind"
    folder = str(backend.folder)
    script.write_text(f"#!/bin/sh\n{folder}/job >/dev/null 2>&1 &\necho $! > {folder}/job.pid\n")
    script.chmod(0o755)
    text = (LEGION if "legion" in form else "") + form
    names = {
        "START": helper(backend, "job", SCRIPTS["attached"]), "BEHIND": str(script),
        "DIR": folder, "PORT": str(free_ports(1)[0]),
    }  # fmt: skip
    for name, value in names.items():
        text = text.replace(name, value)
    return text


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_a_helper_of_each_form_ends_and_is_replaced(backend: Backend, form: str) -> None:
    overlap = "\n[emperor]\non-change = overlap\n"
    ini = backend.ini("a.example") + of_form(backend, form) + overlap
    backend.drop("a.example", ini)
    backend.until("a.example", "parked")
    assert backend.get("a.example").status == 200
    [old] = eventually(lambda: left(backend, "job"), what="the helper runs")
    backend.drop("a.example", ini.replace("idle = 93600", "idle = 93601"))
    eventually(lambda: left(backend, "job") not in ([], [old]), what="a new helper runs")
    eventually(lambda: old not in left(backend, "job"), what="the old helper is gone")
    eventually(lambda: len(left(backend, "job")) == 1, what="one helper runs")
    assert backend.call("POST", "/v1/vassals/a.example/sleep")[0] == 200
    eventually(lambda: not left(backend, "job"), what="the helper is gone")


@pytest.mark.parametrize("how", list(SCRIPTS.values())[:3], ids=list(SCRIPTS)[:3])
def test_no_helper_outlives_a_crash(backend: Backend, how: str) -> None:
    backend.expect("killed by SIGKILL")
    start(backend, attach_daemon=helper(backend, "job", how))
    os.kill(backend.leader("a.example"), signal.SIGKILL)
    eventually(lambda: not left(backend, "job"), what="the helper is gone")


def test_no_helper_outlives_the_daemon(backend: Backend) -> None:
    start(backend, attach_daemon=helper(backend, "job", SCRIPTS["without an environment"]))
    backend.process.send_signal(signal.SIGHUP)
    eventually(lambda: backend.lines("took over 1 vassals"))
    assert backend.stop() == 0
    assert not left(backend, "job")


def test_only_the_helper_of_the_old_process_ends_at_a_reload(backend: Backend) -> None:
    command = helper(backend, "job", SCRIPTS["in its own session"])
    start(backend, attach_daemon=command)
    [old] = left(backend, "job")
    overlap = "\n[emperor]\non-change = overlap\n"
    backend.drop("a.example", backend.ini("a.example", attach_daemon=command) + overlap)
    eventually(lambda: left(backend, "job") not in ([], [old]), what="a new helper runs")
    eventually(lambda: not psutil.pid_exists(old), what="the old helper is gone")
    assert left(backend, "job")
    assert backend.get("a.example").status == 200


def test_a_neighbours_helper_stays(backend: Backend) -> None:
    start(backend, attach_daemon=helper(backend, "job", SCRIPTS["forked twice"]))
    neighbour = helper(backend, "other", SCRIPTS["forked twice"])
    backend.add("b.example", attach_daemon=neighbour)
    assert backend.get("b.example").status == 200
    eventually(lambda: left(backend, "other"))
    before = left(backend, "other")
    assert backend.call("POST", "/v1/vassals/a.example/sleep")[0] == 200
    eventually(lambda: not left(backend, "job"), what="the helper is gone")
    assert {*before} <= {*left(backend, "other")}


@pytest.fixture
def ungrouped(start: Callable[..., Backend]) -> Backend:
    """A backend on a machine where nobody can make control groups."""
    return start(grouped=False)


def test_without_control_groups_helpers_end_by_their_marks(ungrouped: Backend) -> None:
    ungrouped.expect("killed by SIGKILL")
    job = helper(ungrouped, "job", SCRIPTS["forked twice"])
    start(ungrouped, attach_daemon=job)
    os.kill(ungrouped.leader("a.example"), signal.SIGKILL)
    eventually(lambda: not left(ungrouped, "job"), what="the helper is gone after a crash")
    other = helper(ungrouped, "other", SCRIPTS["without an environment"])
    ungrouped.add("b.example", attach_daemon=other)
    assert ungrouped.get("b.example").status == 200
    eventually(lambda: left(ungrouped, "other"), what="the helper runs")
    assert ungrouped.call("POST", "/v1/vassals/b.example/sleep")[0] == 200
    eventually(lambda: not left(ungrouped, "other"), what="the helper is gone after a nap")


HIDDEN = ("forked twice", "without an environment")


@pytest.mark.parametrize("how", HIDDEN)
@pytest.mark.parametrize("end", ["its ini is gone", "another owner"])
def test_without_groups_no_helper_outlives_its_ini(ungrouped: Backend, end: str, how: str) -> None:
    start(ungrouped, attach_daemon=helper(ungrouped, "job", SCRIPTS[how]))
    if end == "another owner":
        os.chown(ungrouped.vassals / "a.example.ini", 65534, 65534)
        ungrouped.until("a.example", "parked")
    else:
        ungrouped.remove("a.example")
        ungrouped.until("a.example", None)
    eventually(lambda: not left(ungrouped, "job"), what="the helper is gone")


@pytest.mark.parametrize("how", HIDDEN)
def test_without_groups_no_helper_outlives_a_failed_start(ungrouped: Backend, how: str) -> None:
    ungrouped.expect("a.example: starting .* did not accept within 5 s")
    starter = helper(ungrouped, "job", SCRIPTS[how])
    ini = ungrouped.ini("a.example", hook_pre_app=f"exec:{starter} &", env="BOOT_SECONDS=1000")
    ungrouped.drop("a.example", f"{ini}[emperor]\nstart-timeout = 5\n")
    ungrouped.until("a.example", "parked")
    with ThreadPoolExecutor(1) as visitor:
        reply = visitor.submit(ungrouped.get, "a.example")
        eventually(lambda: left(ungrouped, "job"), what="the helper runs")
        assert reply.result().status == 503
    eventually(lambda: not left(ungrouped, "job"), what="the helper is gone")


def test_a_fresh_restart_ends_all_and_has_another_socket(backend: Backend) -> None:
    """What an app has moved away keeps the old socket, and answers nobody by it."""
    backend.add("a.example", "runaway.py")
    job = int(backend.get("a.example").text)
    inode, leader = backend.inode("a.example"), backend.leader("a.example")
    assert backend.call("POST", "/v1/vassals/a.example/restart-fresh")[0] == 200
    assert backend.inode("a.example") != inode
    assert backend.leader("a.example") != leader
    eventually(lambda: not psutil.pid_exists(job), what="the job is gone")
    assert backend.get("a.example").status == 200
