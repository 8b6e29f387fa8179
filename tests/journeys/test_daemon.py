"""The daemon as a whole: start, stop, provisioning, and what it reports."""

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.backend import BIN, Backend, Daemon, UnixConnection, ends_after
from tests.eventually import PATIENCE_SECONDS, eventually
from tests.http_client import Reply

Start = Callable[..., Backend]


def test_a_second_daemon_names_the_pid_of_the_first_and_goes(backend: Backend) -> None:
    second = subprocess.run(backend.command, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert f"emperord with pid {backend.process.pid} already serves" in second.stderr
    assert backend.call("GET", "/v1/status")[0] == 200


def test_a_wrong_setting_is_named_before_anything_starts(folder: Path) -> None:
    config = folder / "emperord.ini"
    config.write_text("[emperord]\nidle = never\n")
    result = subprocess.run(
        [BIN / "emperord", "--config", config], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert f"cannot use idle = 'never' from {config}" in result.stderr


def test_an_unknown_group_is_named_at_the_start(folder: Path) -> None:
    result = subprocess.run(
        [BIN / "emperord", "--socket-group=nobodys", f"--run-dir={folder}",
         f"--log-dir={folder}", f"--sockets-dir={folder}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 1
    assert "cannot use socket-group = 'nobodys'" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_uwsgi_that_is_not_there_is_told_at_the_start(folder: Path) -> None:
    result = subprocess.run(
        [BIN / "emperord", "--uwsgi-binary=/nowhere/uwsgi", f"--run-dir={folder}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 1
    assert "cannot find uwsgi at /nowhere/uwsgi" in result.stderr


def test_an_error_before_it_is_ready_is_one_sentence(folder: Path) -> None:
    daemon = Daemon(folder)
    (daemon.run_dir / "activate.sock").mkdir()
    result = subprocess.run(daemon.command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    path = daemon.run_dir / "activate.sock"
    assert f"ERROR cannot start: {path}: Is a directory\n" in result.stderr
    assert "Traceback" not in result.stderr


FAILING = """\
from emperor.daemon import main
from emperor.succession import Succession

async def fail(succession, upgrade):
    await upgrade.wait()
    raise OSError(5, "nobody foresaw this")

Succession.upgrade_when = fail
main()
"""


def test_an_error_after_it_was_ready_has_its_traceback(folder: Path) -> None:
    daemon = Daemon(folder)
    daemon.launch = lambda command, stderr: subprocess.Popen(
        [sys.executable, "-c", FAILING, *command[1:]], stderr=stderr
    )
    daemon.start()
    daemon.process.send_signal(signal.SIGHUP)
    assert daemon.process.wait(PATIENCE_SECONDS) == 1
    assert daemon.lines("CRITICAL emperord ends after an error: .*nobody foresaw this")
    assert daemon.lines('File "<string>", line 6, in fail')


FAILING_TO_STOP = """\
from emperor.daemon import main
from emperor.fair_cpu import FairCpu
from emperor.web.history import HistoryAccess

def fail(part):
    raise OSError(5, "nobody foresaw this")

FairCpu.close = HistoryAccess.close = fail
main()
"""


def test_a_fault_in_a_stop_skips_no_other_step(folder: Path) -> None:
    daemon = Daemon(folder)
    daemon.launch = lambda command, stderr: subprocess.Popen(
        [sys.executable, "-c", FAILING_TO_STOP, *command[1:]], stderr=stderr
    )
    faults = "cannot let tenants have the CPU", "cannot write the rest of the history"
    daemon.may_leave = {"history.db-wal", "history.db-shm"}  # of a history that is not closed
    daemon.expect(f"ERROR ({'|'.join(faults)}): a fault in emperord")
    daemon.expect("^(Traceback|  |OSError: .*nobody foresaw this)")
    with daemon:
        daemon.drop("a.example", daemon.ini("a.example", idle="0"))
        daemon.until("a.example", "running")
    assert all(daemon.lines(fault) for fault in faults)


def test_its_sockets_let_in_whom_they_should(backend: Backend) -> None:
    backend.add("a.example")
    activate = (backend.run_dir / "activate.sock").stat()
    assert stat.S_IMODE(activate.st_mode) == 0o660
    control = (backend.run_dir / "control.sock").stat()
    assert stat.S_IMODE(control.st_mode) == 0o666, "the daemon looks at who connects"
    assert stat.S_IMODE((backend.sockets / "a.example").stat().st_mode) == 0o750
    socket = backend.sockets / "a.example" / "socket"
    assert stat.S_IMODE(socket.stat().st_mode) == 0
    backend.get("a.example")
    assert stat.S_IMODE(socket.stat().st_mode) == 0o660


def test_a_restart_takes_stale_sockets_over(backend: Backend) -> None:
    backend.add("a.example")
    backend.process.kill()
    backend.process.wait()
    assert (backend.sockets / "a.example" / "socket").is_socket()
    backend.start()
    backend.until("a.example", "parked")
    assert backend.get("a.example").status == 200


def test_a_stop_drains_and_answers_those_who_are_held(backend: Backend, folder: Path) -> None:
    backend.nginx.expect("activate.sock failed .2: No such file")
    runs, gate = folder / "runs", folder / "gate"
    os.mkfifo(gate)
    backend.add("running.example", env=f"RUNS={runs}")
    backend.add("booting.example", env="BOOT_SECONDS=1000")
    replies: dict[str, tuple[int, str | None]] = {}

    def ask(host: str, path: str) -> None:
        reply = backend.get(host, path)
        replies[host] = reply.status, reply.headers.get("retry-after")

    threads = [
        threading.Thread(target=ask, args=("running.example", f"/?id=last&gate={gate}")),
        threading.Thread(target=ask, args=("booting.example", "/")),
    ]
    for thread in threads:
        thread.start()
    eventually(lambda: runs.exists() and "GET last" in runs.read_text())
    eventually(lambda: (v := backend.vassal("booting.example")) and v["held"] == 1)
    backend.process.send_signal(signal.SIGTERM)
    eventually(lambda: backend.lines("stopping 2 processes"))
    gate.write_bytes(b"")
    assert backend.process.wait(PATIENCE_SECONDS) == 0
    for thread in threads:
        thread.join()
    assert replies == {"running.example": (200, None), "booting.example": (503, "5")}
    assert backend.get("running.example").status == 503, "nobody is there to wake it"
    backend.start()


def test_a_queued_post_to_a_stopping_app_may_come_again(backend: Backend, folder: Path) -> None:
    runs, gate = folder / "runs", folder / "gate"
    runs.touch(0o666)
    os.mkfifo(gate)
    backend.add("a.example", env=f"RUNS={runs}")
    backend.nginx.expect("activate.sock failed .2: No such file")
    replies: dict[str, tuple[int, str | None]] = {}

    def post(name: str, more: str = "") -> None:
        reply = backend.post("a.example", b"pay", f"/?id={name}{more}")
        replies[name] = reply.status, reply.headers.get("retry-after")

    busy = threading.Thread(target=post, args=("busy", f"&gate={gate}"))
    busy.start()
    eventually(lambda: "POST busy" in runs.read_text())
    queued = [threading.Thread(target=post, args=(f"queued-{n}",)) for n in range(3)]
    for thread in queued:
        thread.start()
    eventually(lambda: (v := backend.vassal("a.example")) and v["queued"] == 3)
    backend.process.send_signal(signal.SIGTERM)
    eventually(lambda: backend.lines("stopping 1 processes"))
    gate.write_bytes(b"")
    assert backend.process.wait(PATIENCE_SECONDS) == 0
    for thread in (busy, *queued):
        thread.join()
    assert replies.pop("busy") == (200, None)
    assert set(replies.values()) == {(503, "5")}
    assert runs.read_text() == "POST busy\n"
    backend.start()


def test_a_second_signal_hurries(backend: Backend) -> None:
    backend.add("a.example", hook_as_user_atexit=ends_after("sleep 1000"))
    backend.get("a.example")
    backend.process.send_signal(signal.SIGINT)
    eventually(lambda: backend.lines("stopping 1 processes"))
    backend.process.send_signal(signal.SIGINT)
    assert backend.process.wait(PATIENCE_SECONDS) == 0
    backend.start()


def test_an_ini_that_is_touched_while_it_stops_does_not_keep_it(backend: Backend) -> None:
    gate = backend.folder / "gate"
    os.mkfifo(gate)
    backend.add("a.example", hook_as_user_atexit=ends_after(f"cat {gate}"))
    backend.get("a.example")
    backend.process.send_signal(signal.SIGTERM)
    eventually(lambda: backend.lines("stopping 1 processes"))
    (backend.vassals / "a.example.ini").touch()
    backend.drop("b.example", backend.ini("b.example"))
    assert backend.call("GET", "/v1/status")[0] == 200
    gate.write_bytes(b"")
    assert backend.process.wait(PATIENCE_SECONDS) == 0
    backend.start()


def test_an_ini_cannot_steer_the_terminal_that_shows_the_log(backend: Backend) -> None:
    backend.expect("cannot use idle")
    backend.drop("a.example", "[uwsgi]\nfile = x\n[emperor]\nidle = \x1b[2J\n")
    eventually(lambda: backend.lines("cannot use idle"))
    assert "\x1b" not in backend.log.read_text()


def test_under_systemd_a_daemon_that_cannot_start_waits(
    folder: Path,
) -> None:
    began = time.monotonic()
    result = subprocess.run(
        [BIN / "emperord", "--idle=never"],
        env=os.environ | {"NOTIFY_SOCKET": f"{folder}/notify"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert time.monotonic() - began > 1.0
    assert (result.returncode, "cannot use idle = 'never'" in result.stderr) == (1, True)


def provisioning(folder: Path) -> Path:
    """A provisioning command that drops an ini for new.example alone."""
    command = folder / "provision"
    command.write_text(
        "#!/bin/sh\n"
        f'echo "$1" >> {folder}/asked\n'
        '[ "$1" = new.example ] || { echo "no such customer" >&2; exit 1; }\n'
        f"cp {folder}/new.ini {folder}/vassals/.draft && "
        f'mv {folder}/vassals/.draft {folder}/vassals/"$1".ini\n'
    )
    command.chmod(0o755)
    return command


def test_a_domain_without_an_ini_is_provisioned_once(folder: Path, start: Start) -> None:
    backend = start(provision_command=str(provisioning(folder)))
    (folder / "new.ini").write_text(backend.ini("new.example"))
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(backend.get("new.example").status))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 5
    assert (folder / "asked").read_text() == "new.example\n"
    assert backend.get("other.example").status == 404
    assert backend.lines("other.example is not provisioned: exit status 1: no such customer")


def test_a_provision_command_ends_at_its_timeout(folder: Path, start: Start) -> None:
    command = folder / "provision"
    command.write_text("#!/bin/sh\nsleep 1000\n")
    command.chmod(0o755)
    backend = start(provision_command=str(command), provision_timeout="200ms")
    backend.expect("cannot provision new.example: there is no vassal after 200ms")
    assert backend.get("new.example").status == 404
    eventually(lambda: not backend.children(), what="the command is reaped with its children")


def test_hosts_that_wait_for_provisioning_delay_no_site(folder: Path, start: Start) -> None:
    gate = folder / "gate"
    command = folder / "provision"
    command.write_text(f"#!/bin/sh\nwhile [ ! -e {gate} ]; do sleep 0.1; done\nexit 1\n")
    command.chmod(0o755)
    backend = start(provision_command=str(command), max_held="40")
    backend.expect("5 requests are held for hosts without an ini, and more are answered 503")
    backend.add("a.example")
    replies: list[int] = []
    hosts = [f"{number}.example" for number in range(60)]
    threads = [
        threading.Thread(target=lambda host=host: replies.append(backend.get(host).status))
        for host in hosts
    ]
    for thread in threads:
        thread.start()
    eventually(lambda: replies.count(503) == 55)
    assert backend.get("a.example").status == 200
    gate.touch()
    for thread in threads:
        thread.join()
    assert sorted(replies) == [404] * 5 + [503] * 55


def test_a_stop_ends_provisioning_and_answers_the_waiting(folder: Path, start: Start) -> None:
    command = folder / "provision"
    command.write_text(f"#!/bin/sh\ntouch {folder}/asked\nsleep 1000\n")
    command.chmod(0o755)
    backend = start(provision_command=str(command))
    gate = folder / "gate"
    os.mkfifo(gate)
    backend.add("slow.example", hook_as_user_atexit=ends_after(f"cat {gate}"))
    backend.get("slow.example")
    replies: list[Reply] = []
    thread = threading.Thread(target=lambda: replies.append(backend.get("new.example")))
    thread.start()
    eventually((folder / "asked").exists)
    backend.process.send_signal(signal.SIGTERM)
    thread.join()
    assert backend.process.poll() is None, "it was answered while the other app drained"
    assert (replies[0].status, replies[0].headers.get("retry-after")) == (503, "5")
    gate.write_bytes(b"")
    assert backend.process.wait(PATIENCE_SECONDS) == 0
    backend.start()


def test_a_stop_does_not_wait_for_an_ini_that_cannot_be_read(backend: Backend) -> None:
    pipe = backend.folder / "pipe"
    os.mkfifo(pipe)
    text = backend.ini("a.example") + f"if-exists = {pipe}\nendif =\nini = {pipe}\n"
    backend.drop("a.example", text)
    eventually(lambda: any("a.example" in " ".join(p.cmdline()) for p in backend.children()))
    assert backend.stop() == 0
    (backend.vassals / "a.example.ini").unlink()
    backend.start()


def test_events_are_told_as_they_happen(backend: Backend) -> None:
    backend.add("a.example")
    connection = UnixConnection(backend.run_dir / "control.sock")
    connection.request("GET", "/v1/events")
    with connection.getresponse() as response:
        backend.get("a.example")
        lines = [json.loads(response.readline()) for _ in range(2)]
        assert backend.stop() == 0
        last = [json.loads(line) for line in response.read().splitlines()][-1]
    assert (last["name"], last["after"]) == ("a.example", None), "the stream has an end"
    connection.close()
    backend.start()
    assert [(line["name"], line["before"], line["after"]) for line in lines] == [
        ("a.example", "parked", "starting"),
        ("a.example", "starting", "running"),
    ]
    assert all(line["at"].endswith("Z") for line in lines)
    assert lines[1]["seq"] == lines[0]["seq"] + 1
    assert lines[0]["start_seconds"] is None
    assert lines[1]["start_seconds"] > 0


def test_orders_are_answered_when_they_are_done(backend: Backend) -> None:
    backend.expect("bad.example: starting → throttled")
    backend.add("a.example")
    for order, state in [
        ("start", "running"), ("restart", "running"), ("reload", "running"), ("sleep", "parked"),
        ("sleep", "parked"), ("reload", "parked"),
    ]:  # fmt: skip
        status, detail = backend.call("POST", f"/v1/vassals/a.example/{order}")
        assert (status, detail["status"]["state"]) == (200, state), order
    assert backend.call("POST", "/v1/vassals/none.example/start")[0] == 404
    backend.add("bad.example", "broken.py")
    status, error = backend.call("POST", "/v1/vassals/bad.example/start")
    assert status == 502
    assert "a_module_that_nobody_installed" in error["detail"]


def test_metrics_count_what_there_is(backend: Backend) -> None:
    backend.add("a.example")
    backend.add("b.example")
    backend.get("a.example")
    _, text = backend.call("GET", "/metrics")
    assert 'emperord_vassals{state="running"} 1.0' in text
    assert 'emperord_vassals{state="parked"} 1.0' in text
    assert 'emperord_vassal_starts_total{vassal="a.example"} 1.0' in text
    assert "emperord_start_seconds_count 1.0" in text
    runtime = "base" if "forked" in backend.started("a.example") else "exec"
    labels = f'outcome="accepted",runtime="{runtime}"'
    assert f'emperord_starts_total{{cause="hit",{labels}}} 1.0' in text
    assert f"emperord_wake_seconds_count{{{labels}}} 1.0" in text
    for phase in ("spawn", "load", "accept"):
        labels = f'phase="{phase}",runtime="{runtime}"'
        assert f"emperord_wake_phase_seconds_count{{{labels}}} 1.0" in text
    # What the fallback was asked, and with the answer of which nginx has run the request.
    assert 'emperord_held_seconds_count{status="200"} 1.0' in text
    assert 'emperord_held_seconds_count{status="404"}' not in text
    assert backend.get("nobody.example").status == 404
    _, text = backend.call("GET", "/metrics")
    assert 'emperord_held_seconds_count{status="404"} 1.0' in text


def test_the_folder_is_read_again_when_asked(backend: Backend) -> None:
    target = backend.folder / "target"
    target.write_text(backend.ini("a.example"))
    (backend.vassals / "a.example.ini").symlink_to(target)
    backend.until("a.example", "parked")
    target.write_text(backend.ini("a.example", idle="77"))
    assert backend.call("POST", "/v1/rescan")[0] == 200
    eventually(lambda: (v := backend.vassal("a.example")) and v["idle_seconds"] == 77)
