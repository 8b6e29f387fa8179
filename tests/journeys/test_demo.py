"""`make run`, as it is: three apps on loopback, and nothing left after Ctrl-C."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.eventually import eventually
from tests.http_client import Request, ask

ROOT = Path(__file__).parents[2]
HOSTS = {
    "welcome.localhost": "Welcome to welcome.localhost",
    "flask.localhost": "Hello from Flask",
    "django.localhost": "The admin",
}


@pytest.fixture
def demo(tmp_path: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """It runs, and prints to tmp_path/out."""
    with (tmp_path / "out").open("wb") as out:
        command = [sys.executable, "-m", "docs.examples.demo"]
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def test_the_sample_apps_wake_and_nothing_is_left_after_an_interrupt(
    demo: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    eventually(lambda: "Ctrl-C" in (tmp_path / "out").read_text(), alive=[demo], seconds=60)
    told = (tmp_path / "out").read_text()
    [port] = set(re.findall(r"curl http://\S+:(\d+)/", told))
    [run_dir] = set(re.findall(r"--run-dir (\S+)", told))
    for host, text in HOSTS.items():
        reply = ask(int(port), Request(f"{host}:{port}"))
        assert (reply.status, text in reply.text) == (200, True), reply.text
    assert ask(int(port), Request("django.localhost", "/admin/login/")).status == 200
    assert ask(int(port), Request("django.localhost", "/static/admin/css/base.css")).status == 200

    folder = Path(run_dir).parent
    offspring = psutil.Process(demo.pid).children(recursive=True)
    assert {process.username() for process in offspring if process.name() == "uwsgi"} == {"nobody"}
    demo.send_signal(signal.SIGINT)
    assert demo.wait(30) == 0
    assert not folder.exists()
    assert not [process for process in offspring if process.is_running()]
