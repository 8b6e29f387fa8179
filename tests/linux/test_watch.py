"""The folder of inis, changed as administrators and their tools do, on real inotify."""

import asyncio
import itertools
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from inotify_simple import flags

from emperor.linux.watch import _OVERFLOWS, PACE, Changes, FolderWatch, Ripening
from tests.eventually import eventually_async
from tests.linux.watched_folder import EVERYTHING, Watched


def ripe(*events: tuple[str, int], link: bool = False) -> list[str]:
    """The names that ripen, in this order, from a series of events."""
    ripening = Ripening()
    return [name for name, mask in events if ripening.is_ripe(name, mask, lambda _: link)]


@pytest.mark.parametrize(
    "mask", [flags.CLOSE_WRITE, flags.MOVED_TO, flags.MOVED_FROM, flags.DELETE, flags.ATTRIB]
)
def test_what_is_complete_gone_or_touched_is_ripe(mask: int) -> None:
    assert ripe(("a.ini", mask)) == ["a.ini"]


def test_a_new_file_is_empty_until_it_is_closed() -> None:
    written = [("a.ini", flags.CREATE), ("a.ini", flags.MODIFY), ("a.ini", flags.MODIFY)]
    assert ripe(*written) == []
    assert ripe(*written, ("a.ini", flags.CLOSE_WRITE)) == ["a.ini"]


def test_a_new_link_is_ripe_at_once() -> None:
    assert ripe(("a.ini", flags.CREATE), link=True) == ["a.ini"]


@pytest.mark.parametrize("begun", [flags.CREATE, flags.MODIFY])
def test_a_change_of_mode_does_not_ripen_what_is_being_written(begun: int) -> None:
    assert ripe(("a.ini", begun), ("a.ini", flags.ATTRIB)) == []
    assert ripe(("a.ini", begun), ("b.ini", flags.ATTRIB)) == ["b.ini"]


@pytest.mark.parametrize("end", [flags.CLOSE_WRITE, flags.MOVED_TO, flags.MOVED_FROM, flags.DELETE])
def test_after_its_end_a_write_is_forgotten(end: int) -> None:
    assert ripe(("a.ini", flags.MODIFY), ("a.ini", end), ("a.ini", flags.ATTRIB)) == ["a.ini"] * 2


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    folder = tmp_path / "uwsgi" / "vassals"
    folder.mkdir(parents=True)
    watched = Watched(folder)
    yield watched
    watched.close()


@pytest.mark.parametrize(
    "command",
    [
        "mv ../new a.ini",
        "cp ../new a.ini",
        "install -m 0600 ../new a.ini",
        "ln -s ../new a.ini",
        "ln -sfn ../new a.ini",
        "ln ../new a.ini",
        "echo > old && mv old a.ini",
    ],
)
async def test_a_new_ini_is_told_however_it_arrives(watched: Watched, command: str) -> None:
    (watched.folder.parent / "new").write_text("[uwsgi]\n")
    watched.watch()
    watched.run_within(command)
    assert "a.ini" in await watched.settled()


@pytest.mark.parametrize(
    "command",
    [
        "echo idle=1 >> a.ini",
        "sed -i s/old/new/ a.ini",
        "touch a.ini",
        "chmod 600 a.ini",
        "install -m 0600 ../new a.ini",
        "ln -sfn ../new a.ini",
        "rm a.ini",
        "mv a.ini ..",
        "mv a.ini b.ini",
        "truncate -s 0 a.ini",
    ],
)
async def test_a_change_is_told_however_it_is_made(watched: Watched, command: str) -> None:
    (watched.folder.parent / "new").write_text("[uwsgi]\n")
    (watched.folder / "a.ini").write_text("[uwsgi]\nold = 1\n")
    watched.watch()
    watched.run_within(command)
    assert "a.ini" in await watched.settled()


async def test_a_half_written_ini_is_not_told_before_it_is_closed(watched: Watched) -> None:
    watched.watch()
    fd = os.open(watched.folder / "a.ini", os.O_WRONLY | os.O_CREAT)
    os.fchmod(fd, 0o600)
    assert await watched.settled() == set()
    os.write(fd, b"[uwsgi]\nmodule = ")
    os.fchmod(fd, 0o644)
    assert await watched.settled() == set()
    os.write(fd, b"app\n")
    os.close(fd)
    assert await watched.settled() == {"a.ini"}


async def test_reading_and_folders_within_are_no_change(watched: Watched) -> None:
    (watched.folder / "a.ini").write_text("[uwsgi]\n")
    watched.watch()
    watched.run_within("cat a.ini; ls; mkdir b.ini; chmod 700 b.ini; rmdir b.ini")
    assert await watched.settled() == set()


async def test_a_name_of_any_bytes_is_told(watched: Watched) -> None:
    watched.watch()
    name = b"caf\xe9 \n.ini"
    watched.touch(name)
    assert {os.fsencode(each) for each in await watched.settled()} == {name}


async def test_a_burst_is_told_at_once(watched: Watched) -> None:
    watched.watch()
    watched.run_within("for i in 1 2 3; do echo > $i.ini; done")
    await eventually_async(lambda: watched.seen)
    assert watched.seen == [Changes(frozenset({"1.ini", "2.ini", "3.ini"}))]


async def test_an_overflow_of_the_kernels_queue_asks_for_a_rescan(watched: Watched) -> None:
    watched.watch()
    watched.overflow()
    await watched.everything_is_told()
    assert await watched.settled() == set()


@pytest.mark.parametrize(
    "gone", ["rm -r vassals", "mv vassals old", "rm -r ../uwsgi", "mv ../uwsgi ../old"]
)
async def test_a_folder_that_is_made_again_is_told_and_watched(
    watched: Watched, gone: str, caplog: pytest.LogCaptureFixture
) -> None:
    watched.watch()
    watched.run(gone)
    await eventually_async(lambda: "is gone" in caplog.text)
    assert EVERYTHING not in watched.seen
    watched.folder.mkdir(parents=True)
    await watched.everything_is_told()
    assert await watched.settled() == set()


async def test_a_removed_folder_that_a_process_is_in_is_missed(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.watch()
    with watched.somebody_within():
        watched.run("rmdir vassals")
        await eventually_async(lambda: "is gone" in caplog.text)
        watched.folder.mkdir()
        await watched.everything_is_told()
        assert await watched.settled() == set()


async def test_a_folder_that_is_swapped_is_told_and_watched(watched: Watched) -> None:
    watched.watch()
    watched.run("mkdir new && mv vassals old && mv new vassals")
    await watched.everything_is_told()
    assert await watched.settled() == set()


async def test_a_folder_that_is_not_there_yet_is_waited_for(watched: Watched) -> None:
    shutil.rmtree(watched.folder.parent)
    watched.watch()
    watched.folder.mkdir(parents=True)
    await watched.everything_is_told()
    assert await watched.settled() == set()


async def test_another_target_of_a_linked_folder_is_noticed(
    watched: Watched,
) -> None:
    watched.folder.rmdir()
    watched.run("mkdir one two && ln -s one vassals")
    watched.watch()
    assert await watched.settled() == set()
    watched.run("ln -sfn two vassals")
    await watched.everything_is_told()
    assert await watched.settled() == set()


async def test_a_folder_swapped_far_above_is_found_by_the_rescan(
    watched: Watched,
) -> None:
    watched.run_above("mkdir -p one/vassals two/vassals && rm -r uwsgi")
    watched.run_above("ln -s one uwsgi")
    watched.watch(rescan_seconds=0.02)
    watched.run_above("ln -sfn two uwsgi")

    def is_told_by_name() -> bool:
        watched.touch(b"late.ini")
        return "late.ini" in watched.names()

    await eventually_async(is_told_by_name)


async def test_what_inotify_cannot_see_is_found_by_the_rescan(watched: Watched) -> None:
    watched.watch(rescan_seconds=0.02)
    await watched.everything_is_told()
    await watched.everything_is_told()


async def test_a_folder_is_watched_as_soon_as_it_can_be(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    os.chmod(watched.folder.parent, 0)
    os.seteuid(65534)
    try:
        watched.watch(rescan_seconds=0.02)
    finally:
        os.seteuid(0)
    assert caplog.messages == [
        f"cannot watch {watched.folder}: Permission denied; what changes in it is noticed once a"
        " minute"
    ]
    await watched.everything_is_told()
    (watched.folder / "a.example.ini").touch()
    await eventually_async(lambda: any("a.example.ini" in each.names for each in watched.seen))
    assert len(caplog.messages) == 1


async def test_what_a_storm_costs_decides_how_often_it_is_looked_at(watched: Watched) -> None:
    cost, loop = 0.001, asyncio.get_running_loop()
    for name in (b"a.ini", b"b.ini"):
        watched.touch(name)
    # Each look asks for the time twice.
    watched.watch(cpu=itertools.count(step=cost).__next__)
    began = now = loop.time()
    while now < began + 1:
        for touched in ("a.ini", "b.ini"):
            os.utime(watched.folder / touched)
        # A fast machine would overflow the kernel's queue, and then no names are told.
        await asyncio.sleep(0.0005)
        now = loop.time()
    assert 1 < len(watched.seen) <= 1 + (now - began) / PACE.rest(cost)
    assert watched.names() == {"a.ini", "b.ini"}
    assert await watched.settled() <= {"a.ini", "b.ini"}, "and none after that is lost"


async def test_a_look_that_fails_is_not_the_last(watched: Watched) -> None:
    told: list[Changes] = []

    def fail_once(changes: Changes) -> None:
        told.append(changes)
        if len(told) == 1:
            raise ValueError("a fault of ours")

    loop, faults = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: faults.append(context["exception"]))
    watched.watches.append(FolderWatch(watched.folder, loop, fail_once))
    watched.touch(b"a.ini")
    await eventually_async(lambda: faults)
    watched.touch(b"b.ini")
    await eventually_async(lambda: len(told) == 2)
    assert [type(fault) for fault in faults] == [ValueError]


async def test_lost_events_have_all_read_now_and_then(watched: Watched) -> None:
    watched.watch()
    [watch] = watched.watches
    burst, _ = _OVERFLOWS
    assert [watch._may_scan() for _ in range(burst + 2)] == [True] * burst + [False] * 2
    assert watch._scan, "what was lost meanwhile is read later"
