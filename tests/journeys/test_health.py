"""A machine that drains, hangs, dies or comes back tells its load balancers so."""

import os
import re
import signal

from tests.backend import Backend, ends_after
from tests.eventually import PATIENCE_SECONDS, eventually

SERVING = 200, "serving\n"
DRAINING = 503, "draining\n"
NO_ANSWER = 503, "emperord does not answer\n"


def health(backend: Backend) -> tuple[int, str]:
    """The answer to a balancer's probe: its status and its body."""
    reply = backend.get("any.example", "/emperord-health")
    return reply.status, reply.text


def test_a_machine_that_drains_serves_whatever_still_arrives(backend: Backend) -> None:
    backend.add("awake.example")
    backend.add("asleep.example")
    backend.get("awake.example")
    assert health(backend) == SERVING
    assert "emperord_draining 0.0" in backend.call("GET", "/metrics")[1]
    status, emperor = backend.call("POST", "/v1/drain")
    assert status == 200
    assert health(backend) == DRAINING
    for domain in ("awake.example", "asleep.example"):
        assert backend.get(domain).status == 200
    _, report = backend.call("GET", "/v1/status")
    assert report["emperor"]["draining_since"] == emperor["draining_since"] is not None
    assert "emperord_draining 1.0" in backend.call("GET", "/metrics")[1]
    console = backend.call("GET", "/console/fleet")[1]
    assert re.search(r'<th scope="row">127\.0\.0\.1</th>.*<td>draining</td>', console)
    status, emperor = backend.call("POST", "/v1/undrain")
    assert (status, emperor["draining_since"]) == (200, None)
    assert health(backend) == SERVING


def test_a_restart_of_the_daemon_does_not_end_a_drain(backend: Backend) -> None:
    backend.nginx.expect("activate.sock failed .2: No such file")
    _, before = backend.call("POST", "/v1/drain")
    backend.stop()
    assert health(backend) == NO_ANSWER
    backend.start()
    assert health(backend) == DRAINING
    assert (
        backend.call("GET", "/v1/status")[1]["emperor"]["draining_since"]
        == before["draining_since"]
    )
    assert backend.call("POST", "/v1/drain")[1]["draining_since"] == before["draining_since"]
    backend.call("POST", "/v1/undrain")


def test_a_drain_that_cannot_be_noted_is_an_error(backend: Backend) -> None:
    (backend.run_dir / "draining").mkdir()
    status, problem = backend.call("POST", "/v1/drain")
    assert status == 500
    assert problem["code"] == "cannot-drain"
    assert problem["detail"] == "cannot drain: cannot write to run-dir: Is a directory"
    assert health(backend) == SERVING
    (backend.run_dir / "draining").rmdir()


def test_a_hanging_daemon_is_unhealthy_and_awake_apps_go_on(
    backend: Backend,
) -> None:
    backend.nginx.expect("upstream timed out .*activate.sock")
    backend.add("a.example")
    backend.get("a.example")
    backend.process.send_signal(signal.SIGSTOP)
    assert health(backend) == NO_ANSWER
    assert backend.get("a.example").status == 200
    backend.process.send_signal(signal.SIGCONT)
    eventually(lambda: health(backend) == SERVING)


def test_a_dead_daemon_is_unhealthy_until_it_is_back(backend: Backend) -> None:
    backend.nginx.expect("activate.sock failed .111: Connection refused")
    backend.process.kill()
    backend.process.wait()
    assert health(backend) == NO_ANSWER
    backend.start()
    assert health(backend) == SERVING


def test_a_daemon_that_stops_says_so_while_it_drains(backend: Backend) -> None:
    gate = backend.folder / "gate"
    os.mkfifo(gate)
    backend.add("a.example", hook_as_user_atexit=ends_after(f"cat {gate}"))
    backend.get("a.example")
    backend.process.send_signal(signal.SIGTERM)
    eventually(lambda: backend.lines("stopping 1 processes"))
    assert health(backend) == (503, "stopping\n")
    gate.write_bytes(b"")
    assert backend.process.wait(PATIENCE_SECONDS) == 0
    backend.start()
