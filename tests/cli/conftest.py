"""A canned emperor, and emperorctl run against it within this process."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from emperor.cli.main import run
from tests.cli.canned_emperor import CannedEmperor, listening


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
def emperor(tmp_path: Path) -> Iterator[CannedEmperor]:
    """A daemon without vassals, which listens in a run-dir of its own."""
    canned = CannedEmperor(tmp_path)
    with listening(canned):
        yield canned


@pytest.fixture
def ctl(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ctl:
    """Runs emperorctl on the run-dir of this test, in a terminal's width of 80."""
    monkeypatch.setenv("COLUMNS", "80")

    def invoke(*arguments: str) -> Outcome:
        status = run(["--run-dir", str(tmp_path), *arguments])
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return invoke
