"""The files that a boot has read are kept, as far as an app may say so."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from emperor.model.spec import Identity, Spec
from emperor.uwsgi.boot_files import BootFiles, listed
from tests.uwsgi.house import DOMAIN, spec

SPEC = spec("file = /srv/a/app.py")


def told(folder: Path, data: bytes) -> BootFiles:
    """The lists, after an app has written that, and has answered."""
    files = BootFiles(folder)
    fd = files.begin(SPEC)
    assert fd is not None
    os.pwrite(fd, data, 0)
    files.take(DOMAIN)
    return files


def test_an_app_is_asked_once_a_day(tmp_path: Path) -> None:
    files = told(tmp_path, b"/a.py\n/b.py")
    assert listed(tmp_path / DOMAIN) == ["/a.py", "/b.py"]
    assert files.begin(SPEC) is None
    os.utime(tmp_path / DOMAIN, (1, 1))
    assert files.begin(SPEC) is not None
    files.forget(DOMAIN)


def test_a_list_of_one_tenant_is_for_no_other(tmp_path: Path) -> None:
    def of(uid: int) -> Spec:
        return replace(SPEC, identity=Identity(uid, uid, None))

    files = BootFiles(tmp_path)
    fd = files.begin(of(5))
    assert fd is not None
    os.pwrite(fd, b"/hers/file\n=module", 0)
    files.take(DOMAIN)
    assert files.modules(DOMAIN, 5) == ["module"]
    assert files.modules(DOMAIN, 7) == []
    assert files.begin(of(5)) is None, "it is fresh"
    assert files.begin(of(7)) is not None
    files.forget(DOMAIN)


def test_a_list_can_be_written_by_anybody(tmp_path: Path) -> None:
    told(tmp_path, b"relative\n/nul\0byte\n\n/\xff\n/good")
    assert listed(tmp_path / DOMAIN) == ["/\udcff", "/good"]
    told(tmp_path / "other", b"/a\n" * 50_000)
    assert len(listed(tmp_path / "other" / DOMAIN)) == 5000
    (tmp_path / DOMAIN).write_bytes(b"no list")
    assert listed(tmp_path / DOMAIN) == []


def test_an_app_cannot_take_memory_by_it(tmp_path: Path) -> None:
    files = BootFiles(tmp_path)
    fd = files.begin(SPEC)
    assert fd is not None
    theirs = os.dup(fd)
    with pytest.raises(PermissionError):
        os.ftruncate(theirs, 1 << 30)
    files.take(DOMAIN)
    assert os.fstat(theirs).st_size > 0, "it may still write"
    files.forget(DOMAIN)
    assert os.fstat(theirs).st_size == 0
    with pytest.raises(PermissionError):
        os.write(theirs, b"x")
    os.close(theirs)


def test_an_app_cannot_take_time_by_it(tmp_path: Path) -> None:
    """The daemon reads the lists of several apps for one base."""
    told(tmp_path, b"=\n" * (1 << 17))
    assert len(BootFiles(tmp_path).modules(DOMAIN, os.geteuid())) <= 10_000
    other = tmp_path / "other"
    told(other, b"=a\n/b\n" + b"\n" * 20_000 + b"=c\n")
    assert BootFiles(other).modules(DOMAIN, os.geteuid()) == ["a"]
    assert listed(other / DOMAIN) == ["/b"]


def test_a_list_that_is_not_used_is_removed(tmp_path: Path) -> None:
    for name, age in (("old", 1.0), ("new", None)):
        (tmp_path / name).touch()
        if age:
            os.utime(tmp_path / name, (age, age))
    BootFiles(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_an_app_that_changes_its_user_is_not_asked(tmp_path: Path) -> None:
    assert BootFiles(tmp_path).begin(replace(SPEC, drops_to="uid = 5")) is None


def test_nothing_is_asked_without_a_folder() -> None:
    files = BootFiles(None)
    assert files.begin(SPEC) is None
    files.take(DOMAIN)
