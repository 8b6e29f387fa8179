"""Under which names the fleet knows a machine, after its settings were changed."""

from pathlib import Path

import pytest

from emperor.registry import own_names as module
from emperor.registry.own_names import OwnNames, own_machine, own_names
from tests.supervisor.world import settings

A, B, C = (f"192.0.2.{number}" for number in (11, 12, 13))


def names(run_dir: Path, address: str) -> OwnNames:
    """Those that a daemon finds at its start."""
    return own_names(
        settings(registry_config="/r.ini", run_dir=str(run_dir), fleet_address=address)
    )


def before(run_dir: Path, address: str) -> str | None:
    """The address that a daemon finds to be its own from before, and keeps its machine's id."""
    found = names(run_dir, address)
    assert found.now.address == address
    if found.before is None:
        return None
    assert found.before.machine == found.now.machine
    return found.before.address


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The run-dir of a daemon."""
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def test_the_next_daemon_knows_the_name_before(here: Path) -> None:
    assert before(here, A) is None
    assert before(here, A) is None
    assert before(here, B) == A
    # The daemon crashes before all is told.
    assert before(here, B) == A
    assert before(here, A) == B
    later = names(here, C)
    assert {each.address for each in later.all} == {A, C}
    later.forget()
    assert before(here, A) is None


def test_two_daemons_with_one_machine_id_are_two_machines(here: Path, tmp_path: Path) -> None:
    assert names(here, A) != names(tmp_path, A)
    assert names(here, A).now.machine == names(here, A).now.machine


def test_a_daemon_of_an_earlier_version_is_known(here: Path) -> None:
    (here / "fleet-names").write_text(f"{own_machine()} {A}\n")
    assert before(here, B) == A
    assert names(here, B).now.machine == own_machine()


def test_a_name_of_before_a_reboot_counts_for_nothing(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = names(here, A)
    monkeypatch.setattr(module, "own_machine", lambda: "rebooted")
    later = names(here, B)
    assert later.before is None
    assert later.now.machine != earlier.now.machine


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a\n", b"x" * 5000])
def test_a_broken_note_counts_for_nothing(here: Path, content: bytes) -> None:
    (here / "fleet-names").write_bytes(content)
    assert before(here, A) is None
    assert before(here, B) == A


def test_a_link_in_the_place_of_the_note_is_not_followed(here: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (here / "fleet-names").symlink_to(secret)
    assert before(here, A) is None
    assert secret.read_text() == "secret"
    assert before(here, B) == A


def test_a_note_that_cannot_be_written_costs_no_machine_its_id(tmp_path: Path) -> None:
    """Two parts of the daemon ask for it."""
    missing = tmp_path / "missing"
    assert names(missing, A).now == names(missing, A).now
