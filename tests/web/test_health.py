"""The drain of a machine: the answers to a balancer's probes, and the note that outlives a
restart."""

import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from emperor.linux.boot_id import boot_id
from emperor.web.drain import Drain
from emperor.web.health import HEALTH_PATH, Health, Probe

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
NOBODY = 65534


async def answer_of(health: Health) -> tuple[int, str]:
    app = web.Application()
    app.router.add_get(HEALTH_PATH, health.handle)
    async with TestClient(TestServer(app)) as client:
        reply = await client.get(HEALTH_PATH)
        return reply.status, await reply.text()


async def test_a_machine_serves_drains_and_stops(tmp_path: Path) -> None:
    drain = Drain(tmp_path, "boot")
    health = Health(drain)
    assert await answer_of(health) == (200, "serving\n")
    drain.begin(NOW)
    assert await answer_of(health) == (503, "draining\n")
    drain.end()
    assert await answer_of(health) == (200, "serving\n")
    health.stop()
    assert await answer_of(health) == (503, "stopping\n")


async def test_the_last_probe_of_each_balancer_is_remembered(tmp_path: Path) -> None:
    health = Health(Drain(tmp_path, "boot"), lambda: NOW)
    app = web.Application()
    app.router.add_get(HEALTH_PATH, health.handle)
    async with TestClient(TestServer(app)) as client:
        for address in ("10.0.0.1", "10.0.0.2", "10.0.0.1", "", *map(str, range(40))):
            await client.get(HEALTH_PATH, headers={"X-Forwarded-For": address} if address else {})
            if not address:
                assert [*health.probes()] == [
                    Probe(None, NOW, "serving", 1),
                    Probe("10.0.0.1", NOW, "serving", 2),
                    Probe("10.0.0.2", NOW, "serving", 1),
                ]
    assert len([*health.probes()]) == 32, "a client cannot fill the memory"


def test_a_drain_outlives_the_daemon_with_its_deadline(
    tmp_path: Path,
) -> None:
    Drain(tmp_path, "boot").begin(NOW)
    again = Drain(tmp_path, "boot")
    assert again.since == NOW
    again.begin(NOW + timedelta(hours=1))
    assert again.since == NOW, "a second request does not change the time"
    again.end()
    again.end()
    assert Drain(tmp_path, "boot").since is None
    assert not list(tmp_path.iterdir())


def test_a_fault_of_who_is_told_leaves_file_and_drain_alike(tmp_path: Path) -> None:
    def faulty(_is_over: bool) -> None:
        raise ValueError("a fault")

    drain = Drain(tmp_path, "boot", faulty)
    with pytest.raises(ValueError, match="a fault"):
        drain.begin(NOW)
    assert drain.since == Drain(tmp_path, "boot").since == NOW
    with pytest.raises(ValueError, match="a fault"):
        drain.end()
    assert drain.since is Drain(tmp_path, "boot").since is None


def test_a_drain_that_cannot_be_saved_or_ended_is_unchanged(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    drain = Drain(run_dir, "boot")
    with pytest.raises(FileNotFoundError):
        drain.begin(NOW)
    assert drain.since is None
    run_dir.mkdir()
    drain.begin(NOW)
    (run_dir / "draining").unlink()
    (run_dir / "draining").mkdir()
    with pytest.raises(IsADirectoryError):
        drain.end()
    assert drain.since == NOW


def _link(note: Path) -> None:
    secret = note.with_name("elsewhere")
    secret.write_text(f"{NOW.isoformat()} boot\n")
    note.symlink_to(secret)


def _foreign(note: Path) -> None:
    note.write_text(f"{NOW.isoformat()} boot\n")
    os.chown(note, NOBODY, NOBODY)


UNUSABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "from before a reboot": (
        lambda note: note.write_text(f"{NOW.isoformat()} another-boot"), "before a reboot",
    ),
    "empty": (lambda note: note.write_text(""), "it is damaged"),
    "cut short": (lambda note: note.write_text(NOW.isoformat()), "it is damaged"),
    "not a time": (lambda note: note.write_text("yesterday boot"), "Invalid isoformat"),
    "without a time zone": (
        lambda note: note.write_text("2026-03-01T12:00:00 boot"), "no time zone",
    ),
    "binary": (lambda note: note.write_bytes(bytes(range(256))), "codec can't decode"),
    "a link": (_link, "Too many levels of symbolic links"),
    "a folder": (lambda note: note.mkdir(), "it is not a file"),
    "a pipe": (os.mkfifo, "it is not a file"),
    "another user's": (_foreign, f"it belongs to user {NOBODY}"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "why"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_note_that_cannot_be_used_is_set_aside_with_a_warning(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    make: Callable[[Path], object],
    why: str,
) -> None:
    note = tmp_path / "draining"
    make(note)
    assert Drain(tmp_path, "boot").since is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert why in record.getMessage()
    assert str(note) in record.getMessage()
    assert not os.path.lexists(note)
    assert os.path.lexists(tmp_path / "draining.bad")
    caplog.clear()
    assert Drain(tmp_path, "boot").since is None
    assert not caplog.records


def test_one_boot_has_one_name() -> None:
    assert boot_id() == boot_id() != ""
