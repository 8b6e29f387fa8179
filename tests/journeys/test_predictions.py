"""`emperorctl check` predicts what the daemon does with an ini: its app answers, or it does not."""

import random
import re
import shutil
import socket
import subprocess
import venv
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.backend import Backend, UnixConnection
from tests.cli.program import ENVIRONMENT, command
from tests.controllers import expected_at_a_start
from tests.eventually import TookTooLong, eventually
from tests.journeys.ini_case import Case
from tests.journeys.inis import CASES
from tests.nginx_server import Nginx
from tests.traces import public_folder

APP = """\
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"served"]
"""
SOURCES = {
    "syntax.py": "def application(:\n",
    "importing.py": f"import os\n\nimport nosuchpackage\n{APP}",
    "importing2.py": f"import pack_2\n{APP}",
    "asgi.py": "async def application(scope, receive, send):\n    pass\n",
    "star.py": "from app import *\n",
    "jobs.py": "import time\n\n\ndef run():\n    time.sleep(99)\n",
    "paths.py": "import setpaths\nimport in_more\n" + APP,
    "jobs-done.py": "",
    "setpaths.py": "import sys\nsys.path.append(__file__.rpartition('/')[0] + '/more')\n",
    "more/in_more.py": "",
    "package/factory.py": f"def make():\n    return application\n\n\n{APP}",
}
SCRIPTS = {
    "good": "#!/bin/sh\ntrue\n",
    "plain": "true\n",
    "env-split": "#!/usr/bin/env -S sh -e\ntrue\n",
    "no-interpreter": "#!/nosuch/bash\ntrue\n",
    "env-no": "#!/usr/bin/env nosuch\n",
    "env-words": "#!/usr/bin/env sh -e\ntrue\n",
    "windows": "#!/bin/sh\r\ntrue\r\n",
    "windows-option": "#!/bin/sh -e\r\ntrue\r\n",
}
AT_ONCE = 16
OTHER_PACKAGES = "venv-other/lib/python2.7/site-packages"
FOLDERS = (
    "run", "var", "closed", "bin", "no-venv", "package", "wsgi-package", "more", OTHER_PACKAGES,
)  # fmt: skip
APPS = (
    "app.py", "closed/app.py", "bin/app.py", "package/wsgi.py", "wsgi-package/__init__.py",
    "secret.py",
)  # fmt: skip


class World:
    """All cases as inis of a daemon, each asked for once."""

    def __init__(self, folder: Path, backend: Backend, taken: int, answered: int) -> None:
        self.taken = taken
        self.answered = answered
        self.folder = folder
        self.site = folder / "site"
        self.settings = folder / "emperord.conf"
        self.vassals = backend.vassals
        self._backend = backend
        self._ports = _free_ports()
        self._same = next(self._ports)

    def build(self) -> None:
        """The site and the inis."""
        _build(self.site)
        flags = {
            "vassals-dir": self.vassals,
            "sockets-dir": self._backend.sockets,
            "allow-root": "true",
            "min-uid": "1",
        }
        lines = [f"{key} = {value}\n" for key, value in flags.items()]
        self.settings.write_text("".join(["[emperord]\n", *lines]))
        for case in CASES:
            draft = self.site / "draft"
            own = f"{self._backend.sockets}/{case.name}.test/socket"
            port = next(self._ports)
            text = case.text.replace("LARGE", str(port + 65_536)).replace("PORT", str(port))
            text = text.replace("OWN", own)
            data = f"[uwsgi]\n{self.named(text)}".encode(errors="surrogateescape")
            draft.write_bytes(data)
            shutil.chown(draft, case.owner)
            draft.chmod(case.mode)
            draft.rename(self.ini(case))

    def named(self, text: str) -> str:
        places = {
            "SITE": self.site,
            "SOCKETS": self._backend.sockets,
            "TAKEN": self.taken,
            "ANSWERED": self.answered,
            "SAME": self._same,
        }
        for name, place in places.items():
            text = text.replace(name, str(place))
        return text

    def ini(self, case: Case | str) -> Path:
        return self.vassals / f"{case if isinstance(case, str) else case.name}.test.ini"

    def answers(self) -> Mapping[str, int]:
        """The status of the answer of each app."""
        eventually(self._all_are_read, what="the daemon has read all inis")
        first = [case for case in CASES if not case.after]
        then = [case for case in CASES if case.after]
        found: dict[str, int] = {}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for cases in (first, then):
                found |= zip([case.name for case in cases], pool.map(self._ask, cases), strict=True)
        return found

    def _all_are_read(self) -> bool:
        report = self._backend.call("GET", "/v1/status")[1]
        return len(report["vassals"]) + len(report["refused"]) == len(CASES)

    def _ask(self, case: Case) -> int:
        if case.speaks_http:
            connection = UnixConnection(self._backend.sockets / f"{case.name}.test" / "socket")
            with closing(connection):
                connection.request("GET", "/")
                return connection.getresponse().status
        host = f"{case.name}.test"
        if not case.serves:
            # The master opens some files when its worker can answer already.
            with suppress(TookTooLong):
                eventually(lambda: self._backend.get(host).status != case.status, seconds=10)
        return self._backend.get(host).status


def _free_ports() -> Iterator[int]:
    """Ports that the kernel chooses for no client (net.ipv4.ip_local_port_range)."""
    for port in range(20_000, 32_000):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        yield port


def _build(site: Path) -> None:
    for name in FOLDERS:
        (site / name).mkdir(parents=True)
    for name in APPS:
        (site / name).write_text(APP)
    (site / "secret.py").chmod(0o600)
    (site / "closed").chmod(0o700)
    shutil.chown(site / "run", "games")
    (site / "sticky").mkdir()
    (site / "sticky").chmod(0o1777)
    (site / "sticky" / "fifo").touch()
    for name in ("empty", "one-more", "two-more"):
        (site / name).touch()
    (site / "one").write_text("1\n")
    for name, text in SOURCES.items():
        (site / name).write_text(text)
    for name, text in SCRIPTS.items():
        (site / name).write_text(text)
        (site / name).chmod(0o755)
    odd = f"[uwsgi]\nfile = {site}/app.py\nharakiri = 5m\nharakirri = 5\n"
    (site / "odd.ini").write_text(odd)
    (site / "bad.ini").write_text(f"[uwsgi]\nchdir = {site}/no\nfile = {site}/app.py\n")
    (site / "user.ini").write_text("[uwsgi]\nuid = games\ngid = games\n")
    (site / "common.ini").write_text(f"[uwsgi]\nfile = {site}/app.py\n")
    venv.create(site / "venv", symlinks=True)
    (next((site / "venv" / "lib").iterdir()) / "site-packages" / "pack_2.py").touch()
    (site / OTHER_PACKAGES / "pack_2.py").touch()
    shutil.copy(site / "venv" / "pyvenv.cfg", site / "venv-other")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=a",
         "-keyout", site / "key.pem", "-out", site / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found of all cases: the status of the app's answer, and what `check` printed."""

    world: World
    answers: Mapping[str, int]
    printed: str


@contextmanager
def _web_server(folder: Path) -> Iterator[int]:
    """The port of a web server for the files of a folder."""
    files = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), files) as server:
        Thread(target=server.serve_forever).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def outcome(separate_from_the_host: None) -> Iterator[Outcome]:
    with (
        public_folder() as folder,
        Nginx(folder) as nginx,
        socket.socket() as listener,
        _web_server(folder / "site") as answered,
    ):
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        nginx.expect(".*")
        backend = Backend(folder, nginx, start_timeout="15", throttle_first="90", max_starting="0")
        backend.expect(".*")
        world = World(folder, backend, listener.getsockname()[1], answered)
        world.build()
        with backend:
            # The port of one app excludes those of others, so these are checked one by one.
            inis = [world.ini(case) for case in CASES if not case.after]
            checked = check(world, *inis)
            assert checked.returncode == 1
            yield Outcome(world, world.answers(), checked.stdout)


def check(world: World, *inis: Path) -> "subprocess.CompletedProcess[str]":
    """`emperorctl check` of these inis, in one run."""
    arguments = ["check", "--config", str(world.settings), *map(str, inis)]
    return subprocess.run(
        command(world.folder, *arguments), env=ENVIRONMENT, capture_output=True, text=True,
        errors="replace", timeout=240, check=False,
    )  # fmt: skip


def test_each_case_has_a_name_of_its_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def needs_controllers(case: Case) -> bool:
    """Whether the kernel must keep a limit."""
    return bool(re.search(r"(?m)^(memory|pids)-max", case.text))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_check_predicts_whether_the_app_answers(outcome: Outcome, case: Case) -> None:
    world, printed = outcome.world, outcome.printed
    if case.after:
        checked = check(world, world.ini(case.after), world.ini(case))
        assert checked.returncode == (0 if case.serves else 1)
        printed = checked.stdout
    lines = [line for line in printed.splitlines() if line.startswith(str(world.ini(case)))]
    would_serve = any(": would be served at " in line for line in lines)
    assert would_serve == case.serves, lines
    if case.serves or not needs_controllers(case) or not expected_at_a_start():
        assert (outcome.answers[case.name] == case.status) == case.serves, lines
    assert world.named(case.says) in "\n".join(lines)


# What it makes at its start is there afterwards.
REPEATABLE = [case for case in CASES if "mkdir:" not in case.text]


@pytest.mark.parametrize(
    "case", random.Random(10).sample(REPEATABLE, 5), ids=lambda case: case.name
)
def test_the_exit_status_says_the_same(outcome: Outcome, case: Case) -> None:
    world = outcome.world
    inis = [world.ini(name) for name in (case.after, case.name) if name]
    assert check(world, *inis).returncode == (0 if case.serves else 1)
