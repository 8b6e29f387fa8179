"""What is kept is there after a loss of power: on an ext4 that writes nothing more."""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from emperor.linux.kept_file import replace_kept
from emperor.linux.maintenance_note import MaintenanceFile
from emperor.linux.pulled_journal import Journal
from emperor.model.pulled import Pulled
from tests.faults.disks import cut_the_power, disk

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def cut(tmp_path: Path) -> Iterator[tuple[Path, Callable[[], None]]]:
    """A folder, and what cuts the power of its disk."""
    place, image = tmp_path / "place", tmp_path / "image"
    with disk(place, image, 16 << 20):
        yield place, lambda: cut_the_power(place, image)


def test_a_file_that_was_replaced(cut: tuple[Path, Callable[[], None]]) -> None:
    place, cut_power = cut
    replace_kept(place / "note", b"before")
    os.sync()
    replace_kept(place / "note", b"after")
    cut_power()
    assert (place / "note").read_bytes() == b"after"


def test_the_end_of_all_maintenance(cut: tuple[Path, Callable[[], None]]) -> None:
    place, cut_power = cut
    MaintenanceFile(place).write({"a.example": NOW})
    os.sync()
    MaintenanceFile(place).write({})
    cut_power()
    assert MaintenanceFile(place).read() == {}


def test_maintenance_whose_note_an_earlier_daemon_has_elsewhere(
    cut: tuple[Path, Callable[[], None]],
) -> None:
    place, cut_power = cut
    for name in ("now", "before"):
        (place / name).mkdir()
    MaintenanceFile(place / "before").write({"a.example": NOW})
    os.sync()
    MaintenanceFile(place / "now", earlier=place / "before").write({})
    cut_power()
    assert MaintenanceFile(place / "now", earlier=place / "before").read() == {}


def test_the_journal_of_what_was_pulled(cut: tuple[Path, Callable[[], None]]) -> None:
    place, cut_power = cut
    journal = Journal(place, "boot")
    journal.append([Pulled("a.example", 1, 7)])
    journal.close()
    cut_power()
    found = Journal(place, "another boot")
    found.load()
    assert (list(found.domains), found.is_missing) == (["a.example"], False)
