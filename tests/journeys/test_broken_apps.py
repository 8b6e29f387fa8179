"""Apps that fail in every way, beside one that must not notice."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.backend import BIN, Backend, ends_after
from tests.eventually import eventually

Start = Callable[..., Backend]


def test_a_failed_import_is_503_and_the_operator_sees_why(
    backend: Backend,
) -> None:
    backend.expect("bad.example: starting → throttled")
    backend.add("bad.example", "broken.py")
    backend.add("good.example")
    reply = backend.get("bad.example")
    assert reply.status == 503
    assert int(reply.headers["retry-after"]) >= 1
    assert "module" not in reply.text, "the cause is not for visitors"
    page = backend.browse("bad.example")
    assert page.status == 503
    assert page.headers["content-type"].startswith("text/html")
    detail = backend.detail("bad.example")
    assert detail["status"]["state"] == "throttled"
    assert "a_module_that_nobody_installed" in detail["status"]["last_error"]
    assert any("ModuleNotFoundError" in line for line in detail["log_tail"])
    assert backend.get("good.example").status == 200


def test_a_crash_loop_is_answered_always_and_mended_at_once(
    start: Start,
) -> None:
    backend = start(throttle_first="0.2", throttle_max="0.5")
    backend.expect("bad.example: (starting|running) → throttled")
    backend.add("bad.example", "suicidal.py")
    statuses = set()

    def failures() -> int:
        statuses.add(backend.get("bad.example").status)
        vassal = backend.vassal("bad.example")
        assert vassal
        count: int = vassal["consecutive_failures"]
        return count

    began = time.monotonic()
    eventually(lambda: failures() > 5, what="it is tried again and again")
    assert failures() <= 1 + (time.monotonic() - began) / 0.2, "but at its pace"
    assert statuses == {503}
    backend.drop("bad.example", backend.ini("bad.example"))
    eventually(lambda: backend.get("bad.example").status == 200, what="the mended app serves")


def test_connections_to_a_throttled_app_are_closed(
    start: Start,
) -> None:
    backend = start(activation="socket", throttle_first="60")
    backend.expect("bad.example: starting → throttled")
    backend.nginx.expect(
        "upstream prematurely closed connection|Connection re(set|fused)|Broken pipe"
    )
    backend.add("bad.example", "broken.py")
    assert backend.get("bad.example").status == 503
    assert backend.get("bad.example").status == 503
    assert backend.state("bad.example") == "throttled"


def test_a_post_to_a_throttled_app_is_told_when_to_try_again(start: Start) -> None:
    backend = start(activation="socket", throttle_first="60")
    backend.expect("bad.example: starting → throttled")
    backend.add("bad.example", "broken.py")
    assert backend.call("POST", "/v1/vassals/bad.example/start")[0] == 502
    reply = backend.post("bad.example", b"pay")
    assert reply.status == 503
    assert int(reply.headers["retry-after"]) > 1


def test_an_escaped_socket_of_a_throttled_app_stops_nobody(start: Start) -> None:
    """Where it can escape at all: a control group would end it with the app."""
    backend = start(activation="socket", throttle_first="60", grouped=False)
    backend.expect("bad.example: starting → throttled")
    pid = backend.folder / "pid"
    backend.add("bad.example", "squatter.py", env=f"PID={pid}")
    backend.add("good.example")
    assert backend.call("POST", "/v1/vassals/bad.example/start")[0] == 502
    squatter = psutil.Process(int(eventually(lambda: pid.exists() and pid.read_text())))
    try:
        path = str(backend.sockets / "bad.example" / "socket")
        for _ in range(20):
            # Root passes a barred door.
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                assert client.recv(1) == b""
        assert backend.get("bad.example").status == 503
        assert backend.get("good.example").status == 200
        assert squatter.is_running()
    finally:
        squatter.kill()


def test_a_hanging_import_shows_a_page_and_is_killed(
    start: Start,
) -> None:
    backend = start(start_timeout="3", page_after="0.2")
    backend.expect("slow.example: starting → (starting|throttled)")
    backend.add("slow.example", "hanging.py")
    page = backend.browse("slow.example")
    assert page.status == 503
    assert page.headers["retry-after"] == "1"
    assert "<h1>Starting up</h1>" in page.text
    assert backend.get("slow.example").status == 503, "held until the boot was given up"
    vassal = backend.vassal("slow.example")
    assert vassal
    assert vassal["state"] == "throttled"
    assert vassal["last_error"].startswith("did not accept within 3 s")
    assert not backend.children()


def test_a_hanging_app_is_mended_before_its_deadline(backend: Backend) -> None:
    backend.add("slow.example", "hanging.py")
    backend.call("GET", "/v1/status")
    backend.browse("slow.example")
    backend.drop("slow.example", backend.ini("slow.example"))
    eventually(lambda: backend.get("slow.example").status == 200)


def test_children_that_an_app_left_behind_go_with_it(start: Start) -> None:
    backend = start(stop_timeout="2")
    backend.add("a.example", "parent.py")
    orphan = int(backend.get("a.example").text)
    assert psutil.pid_exists(orphan)
    status, detail = backend.call("POST", "/v1/vassals/a.example/sleep")
    assert status == 200, detail
    eventually(lambda: not psutil.pid_exists(orphan), what="the orphan is killed")


def test_a_stop_that_takes_too_long_ends_in_a_kill(start: Start) -> None:
    backend = start(stop_timeout="1")
    backend.expect("a.example: stopping → stopping: pid .* did not stop within 1 s")
    backend.add("a.example", hook_as_user_atexit=ends_after("sleep 1000"))
    backend.get("a.example")
    backend.call("POST", "/v1/vassals/a.example/sleep")
    assert backend.state("a.example") == "parked"
    assert not backend.children()


def test_a_master_that_was_killed_is_replaced_at_the_next_hit(backend: Backend) -> None:
    backend.expect("a.example: running → throttled: killed by SIGKILL")
    backend.add("a.example")
    old = backend.get("a.example").text
    vassal = backend.vassal("a.example")
    assert vassal
    os.kill(vassal["pid"], signal.SIGKILL)
    backend.until("a.example", "throttled")
    eventually(lambda: not backend.children(), what="its workers went with it")
    assert (
        eventually(lambda: (reply := backend.get("a.example")).status == 200 and reply.text) != old
    )


def test_a_uwsgi_that_is_gone_is_named_and_the_rest_is_served(start: Start, folder: Path) -> None:
    link = folder / "uwsgi"
    link.symlink_to(BIN / "uwsgi")
    backend = start(uwsgi_binary=str(link))
    backend.expect("b.example: starting → throttled")
    backend.add("a.example")
    backend.add("b.example")
    assert backend.get("a.example").status == 200
    link.unlink()
    assert backend.get("b.example").status == 503
    vassal = backend.vassal("b.example")
    assert vassal
    assert f"cannot spawn {link}: No such file or directory" in vassal["last_error"]
    assert backend.get("a.example").status == 200


def test_a_log_that_cannot_be_opened_keeps_nobody_waiting(backend: Backend) -> None:
    (backend.logs / "a.example.log").mkdir()
    backend.expect("a.example: cannot open the log .*: Is a directory; what it prints is lost")
    backend.add("a.example")
    assert backend.get("a.example").status == 200


def test_a_full_disk_for_logs_keeps_nobody_waiting(folder: Path, start: Start) -> None:
    logs = folder / "logs"
    logs.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", logs], check=True)
    try:
        backend = start()
        backend.expect("a.example: cannot open the log .*: No space left on device")
        with suppress(OSError), (logs / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(b"x" * 4096)
        backend.add("a.example")
        backend.add("bad.example", "broken.py")
        backend.expect("bad.example: (starting → throttled|cannot open the log)")
        assert backend.get("a.example").status == 200
        assert backend.get("bad.example").status == 503
    finally:
        subprocess.run(["umount", "--lazy", logs], check=True)


def test_an_app_that_shuts_our_listener_down_gets_another_one(backend: Backend) -> None:
    backend.expect("a.example: (running|starting) → throttled|cannot see how full a queue is")
    backend.expect("was taken away|a.example: reloading → starting")
    backend.nginx.expect("upstream prematurely closed|Connection refused|recv.. failed")
    backend.drop("a.example", backend.ini("a.example", "saboteur.py"))
    backend.until("a.example", "parked")
    backend.get("a.example")
    backend.drop("a.example", backend.ini("a.example"))
    eventually(lambda: backend.get("a.example").status == 200, what="it is mended")


@pytest.mark.parametrize("processes", ["1", "2"])
def test_an_app_stops_in_order_while_uwsgi_replaces_a_worker(
    backend: Backend, processes: str
) -> None:
    """The new worker misses the order, which is given before it is there: in the last second of the
    two that uWSGI waits."""
    backend.nginx.expect("prematurely closed|Connection reset")
    backend.add("a.example", processes=processes)
    log = backend.logs / "a.example.log"
    log.touch()
    while "i have to sleep a bit" not in log.read_text(errors="replace"):
        backend.get("a.example", "/?die=1")
    waits_since = time.monotonic()
    eventually(lambda: time.monotonic() > waits_since + 1.5)
    assert backend.call("POST", "/v1/vassals/a.example/sleep")[0] == 200
    output = log.read_text(errors="replace")
    assert output.rindex("Respawned") > output.rindex("i have to sleep a bit")
    assert output.index("message 2 from emperor") > output.rindex("i have to sleep a bit")
    assert not backend.lines("did not stop")


def test_an_app_whose_worker_dies_at_once_is_throttled(backend: Backend) -> None:
    backend.expect("a.example: running → throttled: its worker died")
    backend.nginx.expect("upstream prematurely closed|Connection reset|recv.. failed")
    (backend.folder / "gevent.py").write_text("raise ImportError('no gevent here')\n")
    backend.add("a.example", gevent="4", pythonpath=str(backend.folder))
    assert backend.get("a.example").status in (502, 503)
    backend.until("a.example", "throttled")


def test_a_client_that_leaves_while_it_is_held_is_not_run(backend: Backend) -> None:
    runs, gate = backend.folder / "runs", backend.folder / "gate"
    backend.drop("a.example", backend.ini("a.example", env=f"RUNS={runs}") + f"env = GATE={gate}\n")
    backend.until("a.example", "parked")
    with socket.create_connection(("127.0.0.1", backend.nginx.port)) as leaver:
        leaver.sendall(b"POST /?id=gone HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n")
        backend.until("a.example", "starting")
        eventually(lambda: (v := backend.vassal("a.example")) and v["held"] == 1)
    eventually(lambda: (v := backend.vassal("a.example")) and v["held"] == 0)
    gate.touch()
    backend.until("a.example", "running")
    assert backend.get("a.example", "/?id=stayed").status == 200
    assert runs.read_text() == "GET stayed\n"


def test_a_start_that_hangs_tells_the_module(start: Start) -> None:
    backend = start(start_timeout="2")
    backend.expect("hangs.example: .*did not accept within 2 s")
    (backend.folder / "hanging.py").write_text("import time\ntime.sleep(999)\n")
    app = backend.folder / "app.py"
    app.write_text("import hanging\n")
    backend.drop(
        "hangs.example", backend.ini("hangs.example", str(app), pythonpath=str(backend.folder))
    )
    backend.until("hangs.example", "parked")

    def cause() -> str:
        return str(backend.detail("hangs.example")["status"]["last_error"])

    assert backend.get("hangs.example").status == 503
    eventually(lambda: "did not accept within 2 s" in cause(), what="it is killed")
    assert "importing" not in cause()
    # The start after a failed one is measured.
    status, _ = backend.call("POST", "/v1/vassals/hangs.example/start")
    assert status == 502
    assert "did not accept within 2 s; it was importing hanging; " in cause()
