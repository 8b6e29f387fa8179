"""The file of domains in maintenance, which a daemon leaves the next."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from emperor.linux.maintenance_note import MaintenanceFile, state_dir

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


def test_systemd_names_the_folder(tmp_path: Path) -> None:
    assert state_dir({}, tmp_path) == tmp_path
    assert state_dir({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, tmp_path) == Path("/var/lib/a")
