"""Under which names the fleet knows a machine, after its settings were changed."""

from pathlib import Path

import pytest

from emperor.model.once import Holder
from emperor.registry import own_names as module
from emperor.registry.own_names import OwnNames, own_machine, own_names
from tests.supervisor.world import settings

A, B, C = (Holder(f"192.0.2.{number}", own_machine()) for number in (11, 12, 13))


def names(run_dir: Path, now: Holder) -> OwnNames:
    """Those that a daemon finds at its start."""
    return own_names(
        settings(registry_config="/r.ini", run_dir=str(run_dir), fleet_address=now.address)
    )


def test_the_next_daemon_knows_the_name_before(tmp_path: Path) -> None:
    assert names(tmp_path, A).before is None
    assert names(tmp_path, A).before is None
    assert names(tmp_path, B).before == A
    # The daemon crashes before all is told.
    assert names(tmp_path, B).before == A
    assert names(tmp_path, A).before == B
    later = names(tmp_path, C)
    assert later.before == A
    assert later.all == {A, C}
    later.forget()
    assert names(tmp_path, A).before is None


def test_a_name_of_before_a_reboot_counts_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names(tmp_path, A)
    monkeypatch.setattr(module, "own_machine", lambda: "rebooted")
    assert names(tmp_path, B).before is None


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a\n", b"x" * 5000])
def test_a_broken_note_counts_for_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "fleet-names").write_bytes(content)
    assert names(tmp_path, A).before is None
    assert names(tmp_path, B).before == A


def test_a_link_in_the_place_of_the_note_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (tmp_path / "fleet-names").symlink_to(secret)
    assert names(tmp_path, A).before is None
    assert secret.read_text() == "secret"
    assert names(tmp_path, B).before == A
