"""The control API of a fake emperor and a real registry, and emperorctl run against them within
this process."""

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from emperor.cli.main import run
from emperor.linux.usage import Usage
from tests.cli.fake_emperor import FakeEmperor, listening
from tests.etcd_cluster import EtcdCluster, etcd_cluster
from tests.traces import public_folder


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run of emperorctl gave."""

    status: int
    out: str
    err: str


Ctl = Callable[..., Outcome]


def listing(file: Path, *entries: str) -> Path:
    """A load balancer's list of backends, as nginx reads it."""
    file.write_text(f"web_server_ips = {{ {', '.join(map(json.dumps, entries))} }}\n")
    return file


@pytest.fixture
def emperor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEmperor]:
    """A daemon without vassals, which listens in a run-dir of its own."""

    def usage(groups: Collection[int]) -> dict[int, Usage]:
        return dict.fromkeys(groups, Usage(37 * 2**20, 0.42))

    # Processes with the ids of the fakes may well exist on this machine.
    monkeypatch.setattr("emperor.web.report.usage", usage)
    fake = FakeEmperor(tmp_path)
    with listening(fake):
        yield fake


@pytest.fixture
def ctl(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ctl:
    """Runs emperorctl on the run-dir of this test, in a terminal's width of 80."""
    monkeypatch.setenv("COLUMNS", "80")

    def invoke(*arguments: str) -> Outcome:
        status = run(["--run-dir", str(tmp_path), *arguments])
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return invoke


@pytest.fixture(scope="module")
def cluster() -> Iterator[EtcdCluster]:
    """An etcd of one member, with TLS and authentication."""
    with etcd_cluster(size=1) as running:
        yield running


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the owners of apps can read."""
    with public_folder() as made:
        (made / "app.py").write_text("def application(e, s): s('200 OK', []); return [b'ok']\n")
        yield made


@pytest.fixture
def access_file(cluster: EtcdCluster, tmp_path: Path) -> Path:
    """How to reach it; there are no keys of an earlier test."""
    cluster.etcdctl("del", "--prefix", "/emperord/")
    return cluster.access_file(tmp_path / "registry.ini")


@pytest.fixture
def registry(ctl: Ctl, access_file: Path) -> Ctl:
    """Runs `emperorctl registry`, for a daemon that has users of the system as tenants."""
    settings = access_file.with_name("emperord.ini")
    settings.write_text("[emperord]\nmin-uid = 1\n")

    def invoke(word: str, *arguments: str) -> Outcome:
        config = ("--config", str(settings)) if word in ("put", "edit") else ()
        return ctl("registry", "--registry", str(access_file), word, *config, *arguments)

    return invoke
