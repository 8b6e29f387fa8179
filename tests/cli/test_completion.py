"""TAB completes commands, and the domains that the daemon serves."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Ctl
from tests.cli.fake_emperor import FakeEmperor
from tests.cli.program import COMMAND, ENVIRONMENT


def _complete(shell: str, words: str) -> list[str]:
    """What is offered for the last of `words`, asked as the shell's script asks."""
    asking = {
        "_EMPERORCTL_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    result = subprocess.run(
        COMMAND, env=ENVIRONMENT | asking, capture_output=True, text=True, check=False
    )
    assert result.stderr == ""
    return result.stdout.split()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_printed_for_each_shell(ctl: Ctl, shell: str) -> None:
    result = ctl("completion", shell)
    assert result.status == 0
    assert f"_EMPERORCTL_COMPLETE={shell}_complete" in result.out


def test_another_shell_is_wrong_usage(ctl: Ctl) -> None:
    assert ctl("completion", "csh").status == 2


def test_commands_are_completed() -> None:
    assert _complete("bash", "emperorctl sta") == ["plain,status", "plain,stats", "plain,start"]


@pytest.mark.parametrize(
    "command",
    [
        "status", "why", "logs", "start", "sleep", "stop", "restart", "reload", "maintenance",
        "route", "registry get", "registry rm",
    ],
)  # fmt: skip
def test_domains_are_completed(emperor: FakeEmperor, command: str) -> None:
    emperor.serve("www.a.example", "www.b.example", "c.example")
    words = f"emperorctl --run-dir {emperor.run_dir} {command} www"
    assert _complete("bash", words) == ["plain,www.a.example", "plain,www.b.example"]


def test_commands_of_a_group_are_completed() -> None:
    assert _complete("bash", "emperorctl registry e") == ["plain,edit", "plain,export"]
    assert _complete("bash", "emperorctl fleet slots i") == ["plain,init"]


def test_without_a_daemon_nothing_is_offered_and_nothing_said(tmp_path: Path) -> None:
    assert _complete("bash", f"emperorctl --run-dir {tmp_path} start www") == []


def test_bash_completes_with_the_printed_script(emperor: FakeEmperor, tmp_path: Path) -> None:
    emperor.serve("www.a.example")
    program = tmp_path / "emperorctl"
    program.write_text(f"#!/bin/sh\nexec {COMMAND[0]} -c '{COMMAND[2]}' \"$@\"\n")
    program.chmod(0o755)
    script = (
        'eval "$(emperorctl completion bash)";'
        f"COMP_WORDS=(emperorctl --run-dir {tmp_path} why w) COMP_CWORD=4;"
        '_emperorctl_completion emperorctl; echo "${COMPREPLY[@]}"'
    )
    result = subprocess.run(
        ["bash", "-c", script],
        env=ENVIRONMENT | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (result.stdout, result.stderr) == ("www.a.example\n", "")
