"""`make run`, as it is: a balancer, two backends and three apps on loopback, the lines that it says
to paste, and nothing left after Ctrl-C."""

import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from docs.examples import demo as demo_program
from docs.examples.layout import BACKENDS, Backend
from docs.examples.screen import tables
from tests.cli.records import report, running
from tests.eventually import PATIENCE_SECONDS, eventually
from tests.http_client import Request, ask

ROOT = Path(__file__).parents[2]
HOSTS = {
    "welcome.localhost": "Welcome to welcome.localhost",
    "flask.localhost": "Hello from Flask",
    "django.localhost": "The admin",
}


class Demo:
    """A running demo and the text that it printed. `home` is the backend of flask.localhost."""

    def __init__(self, process: "subprocess.Popen[bytes]", printed: str) -> None:
        self.process = process
        self.printed = printed
        [port] = set(re.findall(r"curl http://\S+:(\d+)/", printed))
        [home] = set(re.findall(r"EMPERORD_RUN_DIR=(\S+)/run", printed))
        self.port = int(port)
        self.folder = Path(home).parent
        self.home = Path(home).name

    def paste(self, pattern: str) -> str:
        """Run the printed command that ends as the pattern says, after those that come first, and
        return its output."""
        first = re.findall(r"^  ((?:cd|export) .*)$", self.printed, re.MULTILINE)
        [line] = re.findall(rf"^  (\S.*{pattern})$", self.printed, re.MULTILINE)
        line = " && ".join([*first, line])
        return subprocess.run(
            line, shell=True, stdout=subprocess.PIPE, text=True, check=True
        ).stdout

    def answerer(self) -> str:
        """The backend that answers for flask.localhost, by the end of the balancer's log."""
        path = f"/?{secrets.token_hex(4)}"
        reply = ask(self.port, Request("flask.localhost", path))
        assert (reply.status, HOSTS["flask.localhost"] in reply.text) == (200, True), reply.text
        # The reply comes before its line in the log.
        pattern = rf"{re.escape(path)} .* up=(.*?) us="
        [asked] = eventually(lambda: re.findall(pattern, self.paste(r"access\.log")))
        return str(asked).split(", ")[-1].split(":")[0]

    def processes(self) -> list[psutil.Process]:
        """All processes of the demo, also the daemons that it did not start itself."""
        roots = [
            process
            for process in psutil.process_iter(["cmdline"])
            if process.pid == self.process.pid or str(self.folder) in str(process.info["cmdline"])
        ]
        return roots + [child for root in roots for child in root.children(recursive=True)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """`make run`, ready, until the last test interrupts it."""
    out = tmp_path_factory.mktemp("demo") / "out"
    with out.open("wb") as output:
        command = [sys.executable, "-m", "docs.examples.demo"]
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        # Three machines and the Django project are made.
        patience = 3 * PATIENCE_SECONDS
        eventually(lambda: "Ctrl-C" in out.read_text(), alive=[process], seconds=patience)
        yield Demo(process, out.read_text())
    finally:
        process.terminate()
        process.wait()


def test_the_sample_apps_wake_behind_the_balancer(demo: Demo) -> None:
    for host, text in HOSTS.items():
        reply = ask(demo.port, Request(f"{host}:{demo.port}"))
        assert (reply.status, text in reply.text) == (200, True), reply.text
    assert ask(demo.port, Request("django.localhost", "/admin/login/")).status == 200
    static = Request("django.localhost", "/static/admin/css/base.css")
    assert ask(demo.port, static).status == 200
    users = {each.username() for each in demo.processes() if each.name() == "uwsgi"}
    assert users == {"nobody"}


def test_its_link_leads_to_the_console(demo: Demo) -> None:
    [port, token] = re.findall(r"^  http://127\.0\.0\.1:(\d+)/\?token=(\S+)$", demo.printed, re.M)[
        0
    ]
    entered = ask(int(port), Request(f"127.0.0.1:{port}", f"/?token={token}"))
    cookie = {"Cookie": entered.headers["set-cookie"].partition(";")[0]}
    page = ask(int(port), Request(f"127.0.0.1:{port}", "/console/vassals", headers=cookie))
    assert "flask.localhost" in page.text


def test_its_text_fits_a_terminal_of_80_columns(demo: Demo) -> None:
    lines = demo.printed.splitlines()
    text = lines[lines.index(next(line for line in lines if line.startswith("A load bal"))) :]
    end = text.index(next(line for line in text if line.startswith("Ctrl-C")))
    assert end + 1 < 24
    assert max(map(len, text[:end])) <= 80


def test_its_text_and_tables_fit_a_terminal_of_24_lines(demo: Demo) -> None:
    names = "idle", "folder", "run_dir", "password", "http", "https", "home", "home_address"
    values = dict.fromkeys((*names, "console"), "x")
    text = demo_program.TEXT.format_map(values) + demo_program.MORE_IS_THERE + demo_program.END
    told = report(*map(running, HOSTS))
    machines = [Backend(address, demo.folder / address) for address in BACKENDS]
    below = len(text.splitlines())
    lines = tables(dict.fromkeys(machines, told), 80, 24 - below)
    assert below + len(lines) < 24
    assert sum(host in line.plain for host in HOSTS for line in lines) == 2 * len(HOSTS)
    long = [line for line in demo.printed.splitlines() if len(line) > 80]
    assert not long
    inis = demo.folder / demo.home / "vassals"
    assert f"{inis};" in demo.printed
    assert (inis / "flask.localhost.ini").exists()


def test_its_advice_is_true_and_an_interrupt_ends_everything(demo: Demo) -> None:
    [other] = {"127.0.0.11", "127.0.0.12"} - {demo.home}
    assert f"flask.localhost: {demo.home} (" in demo.paste(r"route .*")
    assert demo.answerer() == demo.home

    demo.paste(r"nginx\.conf -s stop")
    assert demo.answerer() == other
    demo.paste(r"nginx\.conf")
    eventually(lambda: demo.answerer() == demo.home)

    demo.paste(" drain")
    eventually(lambda: demo.answerer() == other)
    demo.paste(" undrain")
    eventually(lambda: demo.answerer() == demo.home)

    processes = demo.processes()
    assert {"uwsgi", "emperord", "nginx"} <= {process.name() for process in processes}
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(PATIENCE_SECONDS) == 0
    assert not demo.folder.exists()
    # They are zombies until init reaps them.
    eventually(lambda: not any(process.is_running() for process in processes))


def test_without_root_and_sudo_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "argv", ["demo"])
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match="needs root, and sudo is not installed; run it as root"):
        demo_program.main()
