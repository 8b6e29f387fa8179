"""Links for the hosts that a wildcard stands for."""

import os
from pathlib import Path

import pytest

import emperor.linux.guests
from emperor.linux.guests import Guests

WILDCARD = "_.example.com"


@pytest.fixture
def guests(tmp_path: Path) -> Guests:
    (tmp_path / WILDCARD).mkdir()
    return Guests(str(tmp_path))


def links(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_symlink())


def test_a_host_leads_to_the_folder_of_its_wildcard(guests: Guests, tmp_path: Path) -> None:
    assert guests.add("a.example.com", WILDCARD)
    assert guests.add("a.example.com", WILDCARD)
    assert (tmp_path / "a.example.com").samefile(tmp_path / WILDCARD)
    (tmp_path / "a.example.com").unlink()
    assert guests.add("a.example.com", WILDCARD), "somebody has taken it away"
    guests.drop_all(WILDCARD)
    assert links(tmp_path) == []


def test_the_host_that_was_asked_for_longest_ago_gives_way(
    guests: Guests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emperor.linux.guests, "MOST_GUESTS", 3)
    for host in ("a", "b", "c", "a", "d"):
        assert guests.add(host, WILDCARD)
    assert links(tmp_path) == ["a", "c", "d"]


def test_what_is_in_the_place_of_a_link_stays(
    guests: Guests, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "alias").symlink_to("b.example")
    for host in ("file", "folder", "alias"):
        assert not guests.add(host, WILDCARD)
        guests.drop(host)
    guests.drop_all(WILDCARD)
    assert links(tmp_path) == ["alias"]
    assert (tmp_path / "file").read_text() == "mine"
    assert caplog.text.count("something is in the place") == 3


def test_an_alias_of_an_app_that_stops_is_nothing_to_move(
    guests: Guests, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    (tmp_path / "b.example").mkdir()
    (tmp_path / "b.example" / "socket").touch()
    (tmp_path / "a.example.com").symlink_to("b.example")
    assert not guests.add("a.example.com", WILDCARD)
    assert "move it away" not in caplog.text
    assert "an alias of b.example until that app has ended" in caplog.text
    assert {record.levelname for record in caplog.records} == {"INFO"}
    (tmp_path / "a.example.com").unlink()
    assert guests.add("a.example.com", WILDCARD)


def test_an_ini_of_its_own_or_a_nearer_wildcard_takes_the_name(
    guests: Guests, tmp_path: Path
) -> None:
    for host in ("a.example.com", "b.example.com", "x.b.example.com"):
        guests.add(host, WILDCARD)
    guests.drop("a.example.com")
    guests.drop("_.b.example.com")
    assert links(tmp_path) == ["b.example.com"]
    guests.add("b.example.com", "_")
    assert os.readlink(tmp_path / "b.example.com") == "./_"
    guests.drop_all(WILDCARD)
    assert links(tmp_path) == ["b.example.com"]
    guests.drop("_")
    assert links(tmp_path) == []


def test_links_of_an_earlier_daemon_are_removed(guests: Guests, tmp_path: Path) -> None:
    guests.add("a.example.com", WILDCARD)
    (tmp_path / "alias.example").symlink_to(WILDCARD)
    Guests(str(tmp_path))
    assert links(tmp_path) == ["alias.example"]
