"""The file of good inis: root's alone, of a bounded size, and never in the way of a start."""

import logging
import os
import stat
from pathlib import Path

import pytest

from emperor.linux import good_inis
from emperor.linux.good_inis import GoodInisFile
from emperor.model.good_ini import GoodIni
from emperor.model.spec import Stamp

STAMP = Stamp(1, 2, 3, 0, 0)


def ini(name: str, size: int) -> GoodIni:
    return GoodIni(f"{name}.ini", STAMP, b"\xff" * size)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    GoodInisFile(tmp_path).write([ini("a", 5), ini("b", 0)])
    assert GoodInisFile(tmp_path).read() == {"a.ini": ini("a", 5), "b.ini": ini("b", 0)}
    assert [path.name for path in tmp_path.iterdir()] == ["good-inis"]
    assert stat.S_IMODE((tmp_path / "good-inis").stat().st_mode) == 0o600


def test_long_inis_push_out_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(good_inis, "_MOST_BYTES", 100)
    GoodInisFile(tmp_path).write([ini("long", 90), ini("short", 20), ini("other", 30)])
    assert set(GoodInisFile(tmp_path).read()) == {"short.ini", "other.ini"}


def test_a_file_that_cannot_be_used_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = GoodInisFile(tmp_path)
    assert kept.read() == {} and not caplog.records
    kept.write([ini("a", 5)])
    path = tmp_path / "good-inis"
    os.chown(path, 33, 33)
    assert kept.read() == {}
    path.unlink()
    path.write_bytes(b"no list")
    assert kept.read() == {}
    path.unlink()
    path.symlink_to("/etc/passwd")
    assert kept.read() == {}
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 3
    GoodInisFile(tmp_path / "missing").write([])
    assert "cannot keep the good versions of inis" in caplog.text
