"""The file of domains in maintenance, which a daemon leaves the next."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from emperor.linux.maintenance_note import MaintenanceFile, maintenance_file

SINCE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DOMAINS = {"a.example": SINCE, "_b.example": SINCE.replace(hour=13)}


def test_what_is_written_is_read_by_the_next_daemon(tmp_path: Path) -> None:
    MaintenanceFile(tmp_path).write(DOMAINS)
    assert MaintenanceFile(tmp_path).read() == DOMAINS


def test_no_domain_in_maintenance_leaves_no_file(tmp_path: Path) -> None:
    note = MaintenanceFile(tmp_path)
    assert note.read() == {}
    note.write(DOMAINS)
    note.write({})
    assert os.listdir(tmp_path) == []


def test_a_failed_write_keeps_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = MaintenanceFile(tmp_path)
    note.write(DOMAINS)

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        note.write({"c.example": SINCE})
    assert note.read() == DOMAINS
    assert os.listdir(tmp_path) == ["maintenance"]


@pytest.mark.parametrize(
    "line", ["b.example", "b.example yesterday", "../b 2026-03-01T12:00:00+00:00",
             "b.example 2026-03-01T12:00:00"],
)  # fmt: skip
def test_a_damaged_line_costs_no_other(
    tmp_path: Path, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    note = MaintenanceFile(tmp_path)
    note.write({"a.example": SINCE})
    with (tmp_path / "maintenance").open("a") as file:
        file.write(f"{line}\n")
    assert note.read() == {"a.example": SINCE}
    assert "cannot use 1 lines" in caplog.text


@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "binary"])
def test_a_file_of_somebody_else_is_not_read(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "maintenance"
    match kind:
        case "link":
            path.symlink_to("/etc/passwd")
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case _:
            path.write_bytes(b"\xff")
    assert MaintenanceFile(tmp_path).read() == {}
    assert "emperorctl maintenance DOMAIN on" in caplog.text


def test_a_file_from_before_the_folder_had_a_name_counts(tmp_path: Path) -> None:
    run_dir, state = tmp_path / "run", tmp_path / "lib"
    for folder in (run_dir, state):
        folder.mkdir()
    MaintenanceFile(run_dir).write({"a.example": SINCE})
    MaintenanceFile(state).write({"b.example": SINCE})
    note = MaintenanceFile(state, earlier=run_dir)
    assert note.read() == {"a.example": SINCE, "b.example": SINCE}
    note.write({"b.example": SINCE})
    assert os.listdir(run_dir) == []
    assert MaintenanceFile(state, earlier=run_dir).read() == {"b.example": SINCE}
    note.write({})
    assert os.listdir(state) == []


def test_systemd_names_the_folder(tmp_path: Path) -> None:
    run_dir, state = tmp_path / "run", tmp_path / "lib"
    for folder in (run_dir, state):
        folder.mkdir()
    for environ, place in (({}, run_dir), ({"STATE_DIRECTORY": f"{state}:/var/lib/b"}, state)):
        maintenance_file(environ, run_dir).write(DOMAINS)
        assert MaintenanceFile(place).read() == DOMAINS
