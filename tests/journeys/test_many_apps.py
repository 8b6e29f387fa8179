"""Orders by patterns and --all, as the documentation shows them."""

import re
import shlex
import subprocess
from pathlib import Path

from tests.backend import BIN, Backend

PAGE = Path(__file__).parents[2] / "docs" / "many-apps.md"
SITES = ("a.example.com", "b.example.com")


def states(backend: Backend) -> list[str | None]:
    return [backend.state(domain) for domain in (*SITES, "other.example")]


def test_the_commands_of_the_page_act_on_many(backend: Backend) -> None:
    block = re.search(r"(?s)```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"))
    assert block
    for domain in (*SITES, "other.example"):
        backend.add(domain)
    outputs, seen, pids = [], [], []
    for line in block[1].splitlines():
        program, *arguments = shlex.split(line)
        command = [str(BIN / program), "--run-dir", str(backend.run_dir), *arguments]
        outputs.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        seen.append(states(backend))
        pids.append([(vassal := backend.vassal(site)) and vassal["pid"] for site in SITES])
    assert seen == [["running", "running", "parked"]] * 2 + [["parked"] * 3]
    assert [output.splitlines()[-1] for output in outputs] == ["2 done", "2 done", "3 done"]
    assert not set(pids[0]) & set(pids[1]), "other processes after the restart"
    assert backend.get("a.example.com").status == 200
