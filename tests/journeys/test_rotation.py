"""The apps' logs are cut by logrotate, as it is set up by the installation."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from tests.backend import Backend
from tests.eventually import eventually

SHIPPED = Path(__file__).parents[2] / "systemd" / "emperord.logrotate"


def rotate(backend: Backend) -> None:
    config = backend.folder / "logrotate.conf"
    config.write_text(SHIPPED.read_text().replace("/var/log/emperord", str(backend.logs)))
    state = backend.folder / "logrotate.state"
    command = ["logrotate", "--force", "--state", str(state), str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def content(path: Path) -> bytes:
    if path.suffix != ".gz":
        return path.read_bytes()
    return subprocess.run(["zcat", path], capture_output=True, check=True).stdout


def numbers(path: Path) -> list[int]:
    """The numbers in a log of chatty.py, which must be whole lines."""
    text = content(path)
    assert b"\0" not in text, "it went on where the file once ended"
    return [int(line) for line in text.splitlines() if line.isdigit()]


@contextmanager
def chatting(backend: Backend) -> Iterator[tuple[Path, list[int]]]:
    """An app prints numbers until the block ends. Yields its log, and a list that has how many
    there were, after the block."""
    quiet, printed = backend.folder / "quiet", list[int]()
    backend.add("a.example", "chatty.py", env=f"QUIET={quiet}")
    thread = threading.Thread(target=lambda: printed.append(int(backend.get("a.example").text)))
    thread.start()
    yield backend.logs / "a.example.log", printed
    quiet.touch()
    thread.join()


def test_a_rotation_loses_only_what_comes_between_copy_and_cut(
    backend: Backend,
) -> None:
    with chatting(backend) as (log, printed):
        for turn in range(3):
            # uWSGI's own lines at the start are some 2,000 bytes.
            eventually(lambda: log.exists() and log.stat().st_size > 10_000)
            rotate(backend)
            assert log.with_name("a.example.log.1").stat().st_mode == log.stat().st_mode, turn
        eventually(lambda: log.stat().st_size > 10_000)

    names = ("a.example.log.3.gz", "a.example.log.2.gz", "a.example.log.1", "a.example.log")
    files = [numbers(log.with_name(name)) for name in names]
    assert (files[0][0], files[-1][-1]) == (0, printed[0] - 1)
    for file in files:
        assert all(after == before + 1 for before, after in pairwise(file)), "a hole inside"
    for older, newer in pairwise(files):
        assert newer[0] > older[-1], "nothing twice"


def test_an_app_that_prints_without_end_fills_no_disk(start: Callable[..., Backend]) -> None:
    backend = start(log_max_size="40K")
    backend.expect("a.example: its log had more than 40960 bytes")
    head = b"--- emperord has cut this log (log-max-size) ---\n"
    with chatting(backend) as (log, printed):
        eventually(lambda: log.exists() and log.read_bytes().startswith(head))
    assert numbers(log)[-1] == printed[0] - 1, "the end is there"


def test_the_cause_of_a_death_is_found_in_a_rotated_log(
    backend: Backend,
) -> None:
    backend.expect("a.example: starting → throttled")
    go = backend.folder / "go"
    app = backend.folder / "late.py"
    app.write_text(
        "import os, time\n"
        "print('x' * 10_000)\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
        "import a_module_that_nobody_installed\n"
    )
    backend.add("a.example", file=str(app))
    log = backend.logs / "a.example.log"
    log.write_text("x" * 100_000)
    thread = threading.Thread(target=backend.get, args=("a.example",))
    thread.start()
    eventually(lambda: log.stat().st_size > 110_000)
    rotate(backend)
    go.touch()
    thread.join()
    detail = backend.detail("a.example")
    assert "a_module_that_nobody_installed" in detail["status"]["last_error"]
