"""What an app does to its own log costs nobody anything, and hides nothing that it has printed."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.peers import emperorctl
from tests.attacks.tenants import MALLORY, Tenants, hits
from tests.eventually import eventually
from tests.faults.disks import disk
from tests.nginx_server import Nginx
from tests.traces import public_folder

HOST = "mallory.example"
SHIPPED = Path(__file__).parents[2] / "systemd" / "emperord.logrotate"
HUGE = 1 << 43
SPACE = 64 << 20
# What the path of a request says is done to the log. The reply has the error, if there was one.
APP = f"""\
import fcntl, os, sys, threading

def rewrite():
    fcntl.fcntl(1, fcntl.F_SETFL, 0)
    os.pwrite(1, b"x" * 100, 0)

def reserve():
    size = {SPACE}
    while size > 4096:
        try:
            os.posix_fallocate(1, 0, size)
        except OSError:
            size //= 2

def reserve_again_and_again():
    def loop():
        while True:
            reserve()
    threading.Thread(target=loop, daemon=True).start()

ATTACKS = {{
    "/none": lambda: None,
    "/erase": lambda: os.ftruncate(1, 0),
    "/inflate": lambda: os.ftruncate(1, {HUGE}),
    "/rewrite": rewrite,
    "/reopen": lambda: os.open("/proc/self/fd/1", os.O_RDWR),
    "/reserve": lambda: os.posix_fallocate(1, 0, 300_000_000),
    "/again": reserve_again_and_again,
}}

def application(environ, start_response):
    print("says", environ["PATH_INFO"], flush=True)
    error = b""
    try:
        ATTACKS[environ["PATH_INFO"]]()
    except OSError as problem:
        error = problem.strerror.encode()
    start_response("200 OK", [])
    return [error]
"""


@pytest.fixture(scope="module")
def log(tenants: Tenants) -> Path:
    """The log of mallory's app, which runs."""
    app = tenants.folder / "attacker.py"
    app.write_text(APP)
    tenants.host(MALLORY, HOST, file=str(app))
    assert tenants.get(HOST, "/none").status == 200
    return tenants.logs / f"{HOST}.log"


@pytest.mark.parametrize("attack", ["/erase", "/inflate", "/rewrite", "/reopen"])
def test_an_app_cannot_change_its_log(tenants: Tenants, log: Path, attack: str) -> None:
    before = log.read_bytes()
    assert tenants.get(HOST, attack).text in ("Operation not permitted", "Permission denied")
    now = log.read_bytes()
    assert now.startswith(before)
    assert f"says {attack}\n".encode() in now


def test_a_rotation_of_a_log_that_cannot_be_truncated(tenants: Tenants, log: Path) -> None:
    config = tenants.folder / "logrotate.conf"
    config.write_text(SHIPPED.read_text().replace("/var/log/emperord", str(tenants.logs)))
    state = tenants.folder / "logrotate.state"
    command = ["logrotate", "--force", f"--state={state}", str(config)]
    # uWSGI logs a request when it has been answered.
    eventually(lambda: log.read_bytes().endswith(b"on core 0)\n"), what="the log is quiet")
    before = log.read_bytes()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert log.with_name(f"{log.name}.1").read_bytes() == before
    assert log.read_bytes() == b""
    assert tenants.get(HOST, "/erase").text == "Operation not permitted"
    assert log.read_bytes().startswith(b"says /erase\n")


def test_a_log_that_is_a_hole_ends(tenants: Tenants, log: Path) -> None:
    tenants.expect("hole.example: its log had more than")
    hole = tenants.logs / "hole.example.log"
    tenants.add("hole.example")
    hole.write_bytes(b"first\n")
    os.truncate(hole, HUGE)
    [told] = emperorctl("root", tenants.run_dir, "logs hole.example")
    assert (told.status, told.err) == (0, "")
    assert len(told.out) < 1000
    hole.unlink()


def test_no_line_is_lost_with_the_daemon(tenants: Tenants, log: Path) -> None:
    before = log.read_bytes()
    tenants.crash()
    tenants.until(HOST, "parked")
    # Without systemd the app has ended too.
    eventually(lambda: "a" not in _attributes(log), what="the log is an ordinary file")
    assert tenants.get(HOST, "/erase").text == "Operation not permitted"
    assert "a" in _attributes(log)
    now = log.read_bytes()
    assert now.startswith(before)
    assert b"says /erase\n" in now.removeprefix(before)


def test_a_log_is_ordinary_when_its_app_sleeps(tenants: Tenants, log: Path) -> None:
    assert tenants.call("POST", f"/v1/vassals/{HOST}/sleep")[0] == 200
    tenants.until(HOST, "parked")
    assert "a" not in _attributes(log), "an administrator can remove it"


def _attributes(path: Path) -> str:
    command = ["lsattr", str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[0]


@pytest.fixture
def small_disk() -> Iterator[Tenants]:
    """A daemon whose logs are on a small disk of their own, and no app yet."""
    with (
        public_folder() as place,
        Nginx(place) as nginx,
        disk(place / "logs", place / "image", SPACE),
    ):
        (place / "logs").chmod(0o755)
        with Tenants(place, nginx, log_max_size="4M") as tenants:
            yield tenants


@pytest.mark.parametrize("attack", ["/reserve", "/again"])
def test_an_app_that_reserves_space_in_its_log_is_ended(small_disk: Tenants, attack: str) -> None:
    """And does not have its log for a while, so that it cannot do so again."""
    tenants = small_disk
    why = "cannot reserve space in its log: log-max-size = 4M is reached"
    for warning in ("its log had more than", f".*{why}", "cannot give .*what it prints is lost"):
        tenants.expect(f"{HOST}: {warning}")
    app = tenants.folder / "attacker.py"
    app.write_text(APP)
    tenants.host(MALLORY, HOST, file=str(app), enable_threads="true")
    log = tenants.logs / f"{HOST}.log"
    tenants.get(HOST, attack)
    tenants.until(HOST, "throttled")
    vassal = tenants.vassal(HOST)
    assert vassal
    assert why in vassal["last_error"]
    assert hits(tenants, "log-max-size") == 1
    eventually(lambda: log.stat().st_blocks * 512 < SPACE // 8, what="the log is cut")
    # Her ini changes, which pardons her app.
    (tenants.vassals / f"{HOST}.ini").touch()
    tenants.until(HOST, "parked")
    before = log.stat().st_blocks
    assert tenants.get(HOST, attack).status == 200
    assert log.stat().st_blocks == before, "its output is /dev/null"
    tenants.remove(HOST)
    tenants.until(HOST, None)
