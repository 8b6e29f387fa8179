"""The shell scripts and the Makefile."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


SCRIPTS = [
    *(ROOT / ".ci").iterdir(),
    ROOT / "container" / "start",
    ROOT / "docs" / "examples" / "uwsgi-in-a-view",
    *(ROOT / "systemd").glob("stage*"),
    *(ROOT / "systemd" / "debian").glob("[bpr]*"),
    *(ROOT / "systemd" / "debian").glob("*/p*"),
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_shellcheck_is_content(script: Path) -> None:
    result = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    assert script.stat().st_mode & 0o111, f"{script} is not executable"


def test_make_alone_lists_every_target() -> None:
    targets = re.findall(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    result = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = re.findall(r"^  make ([\w-]+) +\w", result.stdout, re.MULTILINE)
    assert listed == " ".join(targets).split()
