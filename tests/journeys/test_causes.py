"""Many ways to fail, each once for real: what the operator sees, and what visitors do not."""

import json
import os
import platform
import pwd
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from emperor.cli.records import parse
from emperor.cli.status import Room, page
from emperor.cli.why import story
from emperor.model.status import Report, VassalDetail
from tests.backend import Backend
from tests.eventually import eventually
from tests.journeys.ways_to_fail import DIES_ONCE, FAILURES, LOOPS, WORKERS, Failure

_AT_ONCE = 8
# Far below the start-timeout of 60 s, on a busy machine too.
_HELD_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What inis and sentences refer to; see ways_to_fail.py."""

    secret: Path
    full: Path
    old: Path
    port: int
    listener: str
    neighbour: int
    pid: int
    somaxconn: int
    python: str
    os: str

    def fill(self, text: str, site: Path) -> str:
        """`text` with its placeholders filled."""
        for name, value in (asdict(self) | {"site": site}).items():
            text = text.replace(f"{{{name}}}", str(value))
        return text


@contextmanager
def _full_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4k,mode=1777", "tmpfs", str(folder)]
    subprocess.run(command, check=True)
    try:
        (folder / "filler").write_bytes(b"x" * 4096)
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def _old_virtualenv(folder: Path) -> Path:
    (folder / "lib/python2.7/site-packages").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 2.7.18\n")
    return folder


@contextmanager
def _listening() -> Iterator[tuple[int, str]]:
    """A port of 127.0.0.1 at which a new process listens, and the words for that process. emperord
    looks for it among all processes for 30 ms, the newest first."""
    program = (
        "import socket, sys; server = socket.create_server(('127.0.0.1', 0));"
        " print(server.getsockname()[1], flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        port = int(process.stdout.readline())
        name = Path(f"/proc/{process.pid}/comm").read_text().strip()
        yield port, f"{name} (pid {process.pid})"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.fixture
def around(backend: Backend) -> Iterator[Surroundings]:
    folder = backend.folder
    (folder / "secret").mkdir(mode=0o700)
    neighbour = _free_port()
    backend.add("neighbour.example", http_socket=f"127.0.0.1:{neighbour}")
    assert backend.get("neighbour.example").status == 200
    with (
        _full_disk(folder / "full") as full,
        _listening() as (port, listener),
    ):
        yield Surroundings(
            secret=folder / "secret",
            full=full,
            old=_old_virtualenv(folder / "old"),
            port=port,
            listener=listener,
            neighbour=neighbour,
            pid=backend.leader("neighbour.example"),
            somaxconn=int(Path("/proc/sys/net/core/somaxconn").read_text()),
            python=".".join(platform.python_version_tuple()[:2]),
            os=os.__file__,
        )


def _drop(backend: Backend, failure: Failure, around: Surroundings) -> Path:
    site = backend.folder / failure.name
    site.mkdir()
    site.chmod(0o755)
    (site / "app.py").write_text(around.fill(failure.app, site))
    named = f"file = {site}/app.py\n" if failure.is_named else ""
    draft = site / "draft.ini"
    draft.write_text(f"[uwsgi]\n{named}{around.fill(failure.ini, site)}\n")
    owner = pwd.getpwnam(failure.owner)
    os.chown(draft, owner.pw_uid, owner.pw_gid)
    shutil.move(draft, backend.vassals / f"{failure.name}.example.ini")
    return site


def _visit(backend: Backend, failure: Failure) -> str:
    """What a visitor reads when the app has failed, or its ini was refused."""
    domain = f"{failure.name}.example"
    eventually(lambda: backend.call("GET", f"/v1/vassals/{domain}")[0] != 404, what=domain)
    return backend.get(domain).text


def _told(backend: Backend, name: str) -> str:
    """What `emperorctl why` prints."""
    status, answer = backend.call("GET", f"/v1/vassals/{name}.example")
    if status != 200:
        return str(answer["detail"])
    detail = parse(VassalDetail, json.dumps(answer))
    return "\n".join(line.plain for line in story(detail, datetime.now(UTC)))


def test_each_way_to_fail_has_its_sentence(backend: Backend, around: Surroundings) -> None:
    backend.expect("starting → (throttled|starting)|running → throttled|cannot serve ")
    sentences = {
        failure.name: around.fill(failure.sentence, _drop(backend, failure, around))
        for failure in FAILURES
    }
    with ThreadPoolExecutor(_AT_ONCE) as visitors:
        replies = list(visitors.map(partial(_visit, backend), FAILURES))
    report = parse(Report, json.dumps(backend.call("GET", "/v1/status")[1]))
    status = "\n".join(line.plain for line in page(report, datetime.now(UTC), Room(sys.maxsize)))
    missing = [
        f"{failure.name}: {sentences[failure.name]}\n{told}"
        for failure in FAILURES
        if sentences[failure.name] not in (told := _told(backend, failure.name))
        or sentences[failure.name] not in status
    ]
    assert not missing, "\n\n".join(missing)
    secrets = ("cannot", "Error", "denied", str(backend.folder))
    leaks = [reply for reply in replies if any(secret in reply for secret in secrets)]
    assert not leaks


def test_workers_that_die_at_each_start_hold_nobody(backend: Backend, around: Surroundings) -> None:
    backend.expect("starting → throttled: its worker died again and again and never accepted; ")
    patterns = {failure.name: failure.sentence for failure in LOOPS}
    for failure in (DIES_ONCE, *LOOPS):
        _drop(backend, failure, around)
    assert _visit(backend, DIES_ONCE) == DIES_ONCE.sentence
    with ThreadPoolExecutor(len(LOOPS)) as visitors:
        started = time.monotonic()
        list(visitors.map(partial(_visit, backend), LOOPS))
        assert time.monotonic() - started < _HELD_SECONDS
    for name, pattern in patterns.items():
        told = _told(backend, name)
        assert re.search(
            f"its worker died again and again and never accepted; .*{pattern}", told
        ), told


def test_a_worker_that_died_is_explained_while_the_app_runs(
    backend: Backend, around: Surroundings
) -> None:
    backend.expect("(running|starting) → throttled")
    backend.nginx.expect("upstream prematurely closed|Connection re(set|fused)|recv.. failed")
    patterns = {
        failure.name: around.fill(failure.sentence, _drop(backend, failure, around))
        for failure in WORKERS
    }
    with ThreadPoolExecutor(_AT_ONCE) as visitors:
        list(visitors.map(partial(_visit, backend), WORKERS))

    def is_told(name: str) -> bool:
        return re.search(patterns[name], _told(backend, name)) is not None

    for name, pattern in patterns.items():
        eventually(partial(is_told, name), what=pattern)


def test_a_new_version_that_fails_has_its_sentence_too(backend: Backend) -> None:
    backend.expect("reloading → running: the new version did not start")
    backend.add("a.example")
    assert backend.get("a.example").status == 200
    backend.drop("a.example", backend.ini("a.example", "broken.py"))
    eventually(lambda: backend.detail("a.example")["status"]["last_error"])
    told = _told(backend, "a")
    assert (
        "the new version did not start, the old one serves on: cannot load the app:"
        " ModuleNotFoundError: No module named 'a_module_that_nobody_installed'"
    ) in told
    assert "ModuleNotFoundError" in told.partition("The end of its log:")[2]
    assert backend.get("a.example").status == 200


def test_the_table_has_each_way_once() -> None:
    names = [failure.name for failure in FAILURES]
    assert len(names) == len(set(names)) >= 40
    assert len({failure.sentence for failure in FAILURES}) >= 40
