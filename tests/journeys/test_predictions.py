"""`emperorctl check` predicts what the daemon does with an ini: its app answers, or it does not."""

import shutil
import subprocess
import venv
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from emperor.cli.main import run
from tests.backend import Backend
from tests.eventually import eventually
from tests.journeys.inis import CASES, Case
from tests.nginx_server import Nginx, free_ports
from tests.traces import public_folder

APP = """\
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"served"]
"""
AT_ONCE = 8


class World:
    """All cases as inis of a daemon, each asked for once."""

    def __init__(self, folder: Path, backend: Backend) -> None:
        self.site = folder / "site"
        self.settings = folder / "emperord.conf"
        self.vassals = backend.vassals
        self._backend = backend
        self._ports = iter(free_ports(len(CASES)))

    def build(self) -> None:
        """The site and the inis."""
        _build(self.site)
        flags = {"vassals-dir": self.vassals, "sockets-dir": self._backend.sockets}
        lines = [f"{key} = {value}\n" for key, value in flags.items()]
        self.settings.write_text("".join(["[emperord]\n", *lines]))
        for case in CASES:
            draft = self.site / "draft"
            own = f"{self._backend.sockets}/{case.name}.test/socket"
            text = case.text.replace("PORT", str(next(self._ports))).replace("OWN", own)
            data = f"[uwsgi]\n{self.named(text)}".encode(errors="surrogateescape")
            draft.write_bytes(data)
            shutil.chown(draft, case.owner)
            draft.chmod(case.mode)
            draft.rename(self.ini(case))

    def named(self, text: str) -> str:
        return text.replace("SITE", str(self.site))

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
        return self._backend.get(f"{case.name}.test").status


def _build(site: Path) -> None:
    for name in ("run", "closed", "bin", "no-venv", "venv-other/lib/python2.7/site-packages"):
        (site / name).mkdir(parents=True)
    for name in ("app.py", "closed/app.py", "bin/app.py", "secret.py"):
        (site / name).write_text(APP)
    (site / "secret.py").chmod(0o600)
    (site / "closed").chmod(0o700)
    shutil.chown(site / "run", "www-data")
    (site / "empty").touch()
    (site / "common.ini").write_text(f"[uwsgi]\nfile = {site}/app.py\n")
    venv.create(site / "venv", symlinks=True)
    shutil.copy(site / "venv" / "pyvenv.cfg", site / "venv-other")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=a",
         "-keyout", site / "key.pem", "-out", site / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def world(separate_from_the_host: None) -> Iterator[tuple[World, Mapping[str, int]]]:
    with public_folder() as folder, Nginx(folder) as nginx:
        nginx.expect(".*")
        backend = Backend(folder, nginx, start_timeout="20", throttle_first="90", need_app="true")
        backend.expect(".*")
        world = World(folder, backend)
        world.build()
        with backend:
            yield world, world.answers()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_check_predicts_whether_the_app_answers(
    world: tuple[World, Mapping[str, int]], case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    table, answers = world
    inis = [table.ini(name) for name in (case.after, case.name) if name]
    status = run(["check", "--config", str(table.settings), *map(str, inis)])
    printed = capsys.readouterr().out
    assert (answers[case.name] == 200, status == 0) == (case.serves, case.serves), printed
    assert table.named(case.says) in printed
