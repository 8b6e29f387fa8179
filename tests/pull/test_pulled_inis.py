"""What is pulled, on the real disk."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from emperor.linux import pulled_journal
from emperor.linux.placed_file import Draft, Owner, digest_of
from emperor.model.pulled import Act, Occasion, OnDisk
from emperor.model.registration import RegisteredRemoval
from tests.pull.pulled_folder import OWNER, A, B, Backend, ini, order


def no_xattr(*_: object, **_more: object) -> None:
    raise OSError(errno.ENOTSUP, "Operation not supported")


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    with closing(Backend(tmp_path)) as backend:
        yield backend


def test_a_file_has_its_owner_and_nobody_else_can_read_it(backend: Backend) -> None:
    assert backend.follow(ini(1)).act is Act.WRITE
    info = backend.path().stat()
    assert (info.st_uid, info.st_gid, info.st_mode & 0o777) == (5, 60, 0o400)
    assert (backend.state / "pulled").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in backend.folder.iterdir()] == ["a.example.ini"]


def test_a_file_that_came_meanwhile_is_not_overwritten(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Draft.place

    def late(draft: Draft, instead_of: int | None) -> None:
        backend.place("mine = 1\n")
        place(draft, instead_of)

    monkeypatch.setattr(Draft, "place", late)
    backend.follow(ini(1))
    assert backend.text() == "mine = 1\n"
    assert not backend.inis.forget([A])
    backend.start()
    assert backend.follow(ini(2)).act is Act.NOTHING
    assert backend.text() == "mine = 1\n"
    assert [path.name for path in backend.folder.iterdir()] == ["a.example.ini"]


def test_a_full_disk_leaves_what_was_there(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.follow(ini(1))

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("emperor.linux.pulled_journal.os.fdatasync", full)
    outcome = backend.follow(ini(2))
    assert outcome.is_unfinished
    assert outcome.complaint == "cannot follow the registry: No space left on device"
    assert backend.text() == "serial = 1\n"
    assert [path.name for path in backend.folder.iterdir()] == ["a.example.ini"]
    monkeypatch.undo()
    assert backend.follow(ini(2)).act is Act.WRITE
    assert backend.text() == "serial = 2\n"


def test_a_journal_that_cannot_be_written_anew_is_whole(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pulled_journal, "_SPARE_LINES", 0)
    for serial in range(1, 6):
        assert backend.follow(ini(serial)).act is Act.WRITE
        monkeypatch.setattr(pulled_journal, "replace_kept", full)
    assert backend.inis.state(A) is OnDisk.PULLED
    monkeypatch.undo()
    backend.start()
    assert backend.follow(RegisteredRemoval(A, 6), Occasion.CHANGE).act is Act.REMOVE


@pytest.mark.parametrize("loss", ["the journal", "its content", "what is newest in it"])
def test_an_ini_tells_itself_what_a_lost_journal_has(
    backend: Backend, caplog: pytest.LogCaptureFixture, loss: str
) -> None:
    journal = backend.state / "pulled"
    backend.follow(ini(4))
    old = journal.read_bytes()
    backend.follow(ini(5))
    backend.follow(ini(1, domain=B))
    match loss:
        case "the journal":
            journal.unlink()
        case "its content":
            journal.write_bytes(b"\0" * 4096)
        case _:
            journal.write_bytes(old)
    backend.start()
    assert "2 inis from the registry, a.example for instance" in caplog.text
    assert backend.follow(ini(4), Occasion.CHANGE).act is Act.COMPLAIN, "serials only rise"
    assert backend.follow(ini(6), Occasion.CHANGE).act is Act.WRITE
    assert backend.follow(RegisteredRemoval(B, 2), Occasion.CHANGE).act is Act.REMOVE
    caplog.clear()
    backend.start()
    assert not caplog.messages


def test_a_mark_makes_no_file_of_an_administrator_a_pulled_one(backend: Backend) -> None:
    """He may have begun with a copy, with all that is on it."""
    backend.follow(ini(5))
    copy = backend.folder.parent / "copy"
    subprocess.run(["cp", "-a", backend.path(), copy], check=True)
    subprocess.run(["cp", "-a", copy, backend.path(B)], check=True)
    copy.chmod(0o600)
    copy.write_text("mine = 1\n")
    copy.replace(backend.path())
    (backend.state / "pulled").unlink()
    backend.start()
    for domain in (A, B):
        assert backend.inis.state(domain) is OnDisk.FOREIGN
        assert backend.follow(ini(6, domain=domain)).act is Act.NOTHING


def test_no_tenant_can_mark_an_ini(backend: Backend) -> None:
    """It is the tenant's own, and a high serial would keep the registry from changing it."""
    backend.follow(ini(5))
    name, forged = "trusted.emperord.pulled", f'{{"domain":"{A}","serial":9,"revision":9}}'
    script = f"import os; os.chmod(0, 0o600); os.setxattr(0, {name!r}, {forged!r}.encode())"
    tenant = ["setpriv", f"--reuid={OWNER.uid}", "--clear-groups", sys.executable, "-c", script]
    with backend.path().open("rb") as file:
        tried = subprocess.run(tenant, stdin=file, capture_output=True, check=False)
    assert b"Operation not permitted" in tried.stderr
    assert backend.path().stat().st_mode & 0o777 == 0o600, "it is the tenant's own"


@pytest.mark.parametrize("gone", ["forgotten", "removed"])
def test_an_old_backup_of_the_registry_brings_nothing_back(backend: Backend, gone: str) -> None:
    backend.follow(ini(5))
    if gone == "forgotten":
        assert backend.inis.forget([A]) == [A]
    else:
        backend.follow(RegisteredRemoval(A, 6), Occasion.CHANGE)
    backend.start()
    for occasion in Occasion:
        backend.follow(ini(4), occasion)
        assert backend.text() is None
    assert "lower serial" in backend.follow(ini(4)).complaint
    assert backend.follow(ini(7)).act is Act.WRITE


def test_a_lost_state_directory_is_told_once_with_the_cure(
    backend: Backend, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system that has no such attributes."""
    monkeypatch.setattr(os, "setxattr", no_xattr)
    backend.follow(ini(1))
    backend.follow(ini(1, domain=B))
    backend.place("mine = 1\n", "c.example")
    (backend.folder / "d.example.ini").symlink_to(backend.path(A))
    backend.start()
    assert not caplog.messages
    (backend.state / "pulled").unlink()
    backend.start()
    (told,) = caplog.messages
    assert f"2 inis in {backend.folder} seem to be pulled from the registry" in told
    assert f"{backend.state}/pulled" in told
    assert "a.example.ini" in told or "b.example.ini" in told
    backend.start()
    assert caplog.messages == [told]
    for domain in (A, B):
        assert backend.follow(ini(2, domain=domain)).act is Act.NOTHING
        backend.path(domain).unlink()
        assert backend.follow(ini(2, domain=domain)).act is Act.WRITE, "the cure"


def test_a_first_start_beside_inis_of_others_says_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "vassals").mkdir()
    (tmp_path / "vassals" / "a.example.ini").write_text("mine = 1\n")
    with closing(Backend(tmp_path)):
        assert not caplog.messages


def test_a_journal_that_was_removed_is_written_anew(backend: Backend) -> None:
    backend.follow(ini(1))
    (backend.state / "pulled").unlink()
    backend.follow(ini(1, domain=B))
    backend.start()
    for domain in (A, B):
        gone = RegisteredRemoval(domain, 2)
        assert backend.follow(gone, Occasion.CHANGE).act is Act.REMOVE


def test_a_tenant_who_holds_the_file_by_a_lease_keeps_no_site(backend: Backend) -> None:
    backend.follow(ini(1))
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    held = os.open(backend.path(), os.O_RDONLY)
    try:
        fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        assert backend.follow(ini(2), Occasion.CHANGE).act is Act.COMPLAIN
        assert backend.follow(RegisteredRemoval(A, 3), Occasion.CHANGE).act is Act.SET_ASIDE
        assert backend.text() is None
    finally:
        os.close(held)
        signal.signal(signal.SIGIO, before)


@pytest.mark.parametrize("attack", ["changed", "changed and then torn", "a lease"])
def test_a_tenant_keeps_no_site_that_was_given_to_another(backend: Backend, attack: str) -> None:
    backend.follow(ini(1))
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    held = os.open(backend.path(), os.O_RDONLY)
    try:
        if attack == "a lease":
            fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        else:
            backend.path().write_bytes(b"mine = 1\n" + b"\0" * attack.endswith("torn"))
        given = replace(order(ini(2), Occasion.CHANGE), owner=Owner(7, 7))
        (outcome,) = backend.inis.carry_out([given])
        assert not outcome.complaint
    finally:
        os.close(held)
        signal.signal(signal.SIGIO, before)
    assert backend.text() == "serial = 2\n"
    assert backend.path().stat().st_uid == 7
    assert backend.start() == set()
    assert backend.inis.state(A) is OnDisk.PULLED


@pytest.mark.parametrize("torn", [b"", b"seri\0\0\0\0"])
def test_what_a_loss_of_power_has_torn_is_fetched_again(backend: Backend, torn: bytes) -> None:
    backend.follow(ini(1))
    backend.path().write_bytes(torn)
    assert backend.start() == set(), "no machine was booted"
    backend.boot = "second"
    assert backend.start() == {A}
    assert backend.follow(ini(1), Occasion.CHANGE).act is Act.WRITE
    assert backend.text() == "serial = 1\n"


def test_a_file_that_a_loss_of_power_brings_back_goes_again(backend: Backend) -> None:
    backend.follow(ini(1))
    os.link(backend.path(), backend.state / "kept")
    backend.follow(RegisteredRemoval(A, 2))
    os.link(backend.state / "kept", backend.path())
    backend.start()
    assert backend.text() is None


def test_a_folder_that_was_away_at_a_start_loses_nothing(backend: Backend) -> None:
    backend.follow(ini(1))
    away = backend.folder.with_name("away")
    backend.folder.rename(away)
    with pytest.raises(FileNotFoundError):
        backend.start()
    # The place where a disk is mounted later.
    backend.folder.mkdir()
    backend.start()
    backend.folder.rmdir()
    away.rename(backend.folder)
    assert backend.start() == {A}, "it is read again"
    assert backend.text() == "serial = 1\n"
    assert backend.follow(ini(2), Occasion.CHANGE).act is Act.WRITE


def test_a_line_that_was_cut_off_costs_nothing_else(backend: Backend) -> None:
    backend.follow(ini(1))
    backend.follow(ini(1, domain=B))
    with (backend.state / "pulled").open("ab") as journal:
        journal.write(b'{"type":"pulled","dom')
    backend.start()
    backend.follow(ini(2))
    backend.start()
    assert set(backend.journal.domains) == {A, B}
    assert backend.text() == "serial = 2\n"


def test_the_journal_does_not_grow_without_end(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulled_journal, "_SPARE_LINES", 10)
    for serial in range(1, 40):
        backend.follow(ini(serial))
        backend.inis.advance(serial)
    assert len((backend.state / "pulled").read_text().splitlines()) < 20
    backend.start()
    assert (backend.journal.domains[A].serial, backend.journal.revision) == (39, 39)


def test_a_copied_folder_is_followed_still(backend: Backend) -> None:
    backend.follow(ini(1))
    data = backend.path().read_bytes()
    backend.path().rename(backend.state / "old")
    backend.path().write_bytes(data)
    backend.start()
    assert backend.follow(ini(2), Occasion.CHANGE).act is Act.WRITE


def test_only_what_is_as_it_was_pulled_is_forgotten(backend: Backend) -> None:
    backend.follow(ini(1))
    backend.follow(ini(1, domain=B))
    backend.path(B).write_text("mine = 1\n")
    assert backend.inis.forget([A, B, "c.example"]) == [A]
    assert (backend.text(A), backend.text(B)) == (None, "mine = 1\n")
    assert backend.inis.state(B) is OnDisk.EDITED
    assert backend.follow(ini(1), Occasion.CHANGE).act is Act.NOTHING
    assert backend.follow(ini(1)).act is Act.WRITE


def test_what_takes_the_place_of_a_missing_file_is_not_ours(backend: Backend) -> None:
    backend.follow(ini(1))
    backend.path().unlink()
    backend.inis.note_missing(A)
    backend.path().write_text("mine = 1\n")
    assert backend.inis.state(A) is OnDisk.FOREIGN
    assert backend.follow(RegisteredRemoval(A, 2), Occasion.CHANGE).act is Act.NOTHING
    assert backend.text() == "mine = 1\n"


def test_a_digest_tells_contents_apart() -> None:
    assert digest_of(b"a") != digest_of(b"b")
