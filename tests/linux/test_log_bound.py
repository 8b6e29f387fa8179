"""The apps' logs are cut before they fill the disk."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from emperor.linux import log_bound
from emperor.linux.log_bound import LogBound, cut, is_reserved, used
from emperor.linux.log_owner import open_log_of
from emperor.model.ports import CannotLaunch
from tests.eventually import eventually_async
from tests.threads import no_thread_left

LIMIT = 100_000
LINE = b"x" * 99 + b"\n"
HEAD = b"--- emperord has cut this log (log-max-size) ---\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "a.example.log"


@pytest.fixture
async def bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LogBound]:
    monkeypatch.setattr(log_bound, "PAUSE_SECONDS", 0.01)
    watch = LogBound(tmp_path, LIMIT, asyncio.get_running_loop())
    yield watch
    watch.close()


def test_the_last_whole_lines_are_kept(log: Path) -> None:
    log.write_bytes(b"".join(b"line %d\n" % number for number in range(1000)))
    cut(log, 20)
    assert log.read_bytes() == HEAD + b"line 998\nline 999\n"


def test_a_writer_goes_on_at_the_end(log: Path) -> None:
    with log.open("ab", buffering=0) as app:
        app.write(LINE * 100)
        cut(log, 200)
        app.write(b"more\n")
    assert log.read_bytes() == HEAD + LINE + b"more\n"


def test_a_hole_is_not_kept(log: Path) -> None:
    with log.open("wb", buffering=0) as app:
        app.seek(10_000_000)
        app.write(b"far\n")
        cut(log, 1000)
        assert log.read_bytes() == HEAD
        app.write(b"farther\n")
        assert used(os.fstat(app.fileno())) > LIMIT, "it is cut again"


def test_a_link_is_not_followed(log: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(LINE)
    log.symlink_to(other)
    with pytest.raises(OSError, match="symbolic"):
        cut(log, 0)
    assert other.read_bytes() == LINE


async def test_a_log_that_grows_is_cut_each_time(
    bound: LogBound, log: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def is_cut() -> bool:
        text = log.read_bytes()
        return text.startswith(HEAD) and text.endswith(LINE) and len(text) < LIMIT

    for _ in range(3):
        with log.open("ab", buffering=0) as app:
            app.write(LINE * 1001)
        await eventually_async(is_cut)
    [warning] = [record.getMessage() for record in caplog.records]
    assert warning.startswith("a.example: its log had more than 100000 bytes (log-max-size)")


async def test_a_log_that_has_grown_before_the_start_is_cut(tmp_path: Path, log: Path) -> None:
    with log.open("wb", buffering=0) as app:
        app.write(LINE * 2000)
    watch = LogBound(tmp_path, LIMIT, asyncio.get_running_loop())
    await eventually_async(lambda: log.stat().st_size < LIMIT)
    watch.close()


async def test_reserved_space_counts(bound: LogBound, log: Path) -> None:
    def reserve() -> None:
        log.write_bytes(b"first\nlast\n")
        # The size of the file stays as it is.
        command = ["fallocate", "--keep-size", "--length", str(LIMIT * 2), str(log)]
        subprocess.run(command, check=True)

    await asyncio.to_thread(reserve)
    await eventually_async(lambda: used(log.stat()) < LIMIT)


async def test_an_app_that_reserves_space_is_told(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_bound, "PAUSE_SECONDS", 0.01)
    told: list[str] = []
    watch = LogBound(tmp_path, LIMIT, asyncio.get_running_loop(), on_reserved=told.append)
    large = tmp_path / "b.example.log"
    large.write_bytes(LINE * 2000)
    await eventually_async(lambda: large.stat().st_size < LIMIT)
    assert told == [], "it has written what it takes"
    os.close(open_log_of(str(log), None))
    with log.open("ab") as app:
        os.posix_fallocate(app.fileno(), 0, LIMIT * 2)
    await eventually_async(lambda: used(log.stat()) < LIMIT)
    assert told == ["a.example"]
    with pytest.raises(CannotLaunch, match="for 60 more minutes: it has reserved space in it"):
        open_log_of(str(log), None)
    os.setxattr(log, "trusted.emperord.misuse", b"1000000000")
    os.close(open_log_of(str(log), None))
    watch.close()


async def test_without_a_thread_a_log_is_cut_later(bound: LogBound, log: Path) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())
    with no_thread_left():
        with log.open("wb") as app:
            app.write(LINE * 2000)
        await eventually_async(lambda: bound._cutting)
    await eventually_async(lambda: log.stat().st_size < LIMIT, seconds=5)


async def test_a_fault_in_what_is_told_spares_no_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(domain: str) -> None:
        raise ZeroDivisionError(domain)

    monkeypatch.setattr(log_bound, "PAUSE_SECONDS", 0.01)
    watch = LogBound(tmp_path, LIMIT, asyncio.get_running_loop(), fail, on_reserved=fail)
    logs = [tmp_path / f"{name}.example.log" for name in "abc"]
    for each in logs:
        with each.open("ab") as app:
            os.posix_fallocate(app.fileno(), 0, LIMIT * 2)
    await eventually_async(lambda: all(used(each.stat()) < LIMIT for each in logs))
    watch.close()
    assert "cannot tell that the log of a.example was written to: a fault" in caplog.text
    assert "cannot end c.example, which has reserved space: a fault" in caplog.text


def test_a_log_of_many_gaps_was_not_written_by_printing(log: Path) -> None:
    with log.open("ab", buffering=0) as app:
        for number in range(20):
            os.posix_fallocate(app.fileno(), number * 100_000, 90_000)
            app.write(LINE)
    assert is_reserved(log)
    log.unlink()
    log.write_bytes(LINE * 20_000)
    assert not is_reserved(log)
    os.truncate(log, 1 << 40)
    assert not is_reserved(log), "a hole takes no space"


async def test_small_logs_and_other_files_are_left_alone(bound: LogBound, tmp_path: Path) -> None:
    rotated, small = tmp_path / "a.example.log.1", tmp_path / "b.example.log"
    rotated.write_bytes(LINE * 2000)
    small.write_bytes(LINE * 10)
    large = tmp_path / "c.example.log"
    large.write_bytes(LINE * 2000)
    await eventually_async(lambda: large.stat().st_size < LIMIT)
    assert (rotated.stat().st_size, small.stat().st_size) == (200_000, 1000)


async def test_a_log_that_is_written_to_is_told(tmp_path: Path) -> None:
    told: list[str] = []
    watch = LogBound(tmp_path, 0, asyncio.get_running_loop(), told.append)
    rotated, log = tmp_path / "a.example.log.1", tmp_path / "a.example.log"
    rotated.write_bytes(LINE)
    log.write_bytes(LINE)
    await eventually_async(lambda: told == ["a.example"])
    watch.close()
    assert log.stat().st_size == len(LINE), "0 is no limit"


async def test_without_a_limit_nothing_is_watched(tmp_path: Path) -> None:
    watch = LogBound(tmp_path / "nowhere", 0, asyncio.get_running_loop())
    watch.close()


async def test_a_folder_that_cannot_be_watched_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    LogBound(tmp_path / "nowhere", 1, asyncio.get_running_loop()).close()
    assert "cannot watch" in caplog.text
