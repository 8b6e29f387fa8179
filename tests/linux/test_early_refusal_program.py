"""The program by which the kernel refuses forks before it copies a process."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emperor.linux import early_refusal_program
from tests.eventually import eventually


def soft_limit(pid: int) -> str:
    """How many processes the user of this one may have."""
    return Path(f"/proc/{pid}/limits").read_text().partition("Max processes")[2].split()[0]


@contextmanager
def refusing(group: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The program, for the processes in that group."""
    command = [sys.executable, "-I", "-S", early_refusal_program.__file__, str(group)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as program:
        yield program


def test_processes_get_their_limits_back_when_the_input_ends(tmp_path: Path) -> None:
    run = tmp_path / "uid-5" / "v-a.example" / "7"
    run.mkdir(parents=True)
    with (
        subprocess.Popen(["sleep", "60"]) as worker,
        subprocess.Popen(["sleep", "60"], start_new_session=True) as master,
        subprocess.Popen(["true"], start_new_session=True) as gone,
    ):
        gone.wait()
        usual = soft_limit(worker.pid)
        assert usual != "0"
        (run / "cgroup.procs").write_text(f"{gone.pid}\n{worker.pid}\n{master.pid}\n")
        with refusing(run):
            eventually(lambda: soft_limit(worker.pid) == "0")
            assert soft_limit(master.pid) == usual, "it replaces workers"
            with refusing(tmp_path / "uid-5") as other:
                other.communicate()
                assert soft_limit(worker.pid) == "0", "it is not the other's to give back"
        assert soft_limit(worker.pid) == usual
        worker.kill()
        master.kill()
