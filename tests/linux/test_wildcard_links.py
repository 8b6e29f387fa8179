"""Links for the hosts that a wildcard stands for."""

import os
from pathlib import Path

import pytest

import emperor.linux.wildcard_links
from emperor.linux.wildcard_links import WildcardLinks

WILDCARD = "_.example.com"


@pytest.fixture
def wildcard_links(tmp_path: Path) -> WildcardLinks:
    (tmp_path / WILDCARD).mkdir()
    return WildcardLinks(str(tmp_path))


def links(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_symlink())


def test_a_host_leads_to_the_folder_of_its_wildcard(
    wildcard_links: WildcardLinks, tmp_path: Path
) -> None:
    assert wildcard_links.add("a.example.com", WILDCARD)
    assert wildcard_links.add("a.example.com", WILDCARD)
    assert (tmp_path / "a.example.com").samefile(tmp_path / WILDCARD)
    (tmp_path / "a.example.com").unlink()
    assert wildcard_links.add("a.example.com", WILDCARD), "somebody has taken it away"
    wildcard_links.drop_all(WILDCARD)
    assert links(tmp_path) == []


def test_the_host_that_was_asked_for_longest_ago_gives_way(
    wildcard_links: WildcardLinks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emperor.linux.wildcard_links, "MOST_LINKS", 3)
    for host in ("a", "b", "c", "a", "d"):
        assert wildcard_links.add(host, WILDCARD)
    assert links(tmp_path) == ["a", "c", "d"]


def test_what_is_in_the_place_of_a_link_stays(
    wildcard_links: WildcardLinks, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "alias").symlink_to("b.example")
    for host in ("file", "folder", "alias"):
        assert not wildcard_links.add(host, WILDCARD)
        wildcard_links.drop(host)
    wildcard_links.drop_all(WILDCARD)
    assert links(tmp_path) == ["alias"]
    assert (tmp_path / "file").read_text() == "mine"
    assert caplog.text.count("something is in the place") == 3


def test_an_alias_of_an_app_that_stops_is_nothing_to_move(
    wildcard_links: WildcardLinks, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    (tmp_path / "b.example").mkdir()
    (tmp_path / "b.example" / "socket").touch()
    (tmp_path / "a.example.com").symlink_to("b.example")
    assert not wildcard_links.add("a.example.com", WILDCARD)
    assert "move it away" not in caplog.text
    assert "an alias of b.example until that app has ended" in caplog.text
    assert {record.levelname for record in caplog.records} == {"INFO"}
    (tmp_path / "a.example.com").unlink()
    assert wildcard_links.add("a.example.com", WILDCARD)


def test_an_ini_of_its_own_or_a_nearer_wildcard_takes_the_name(
    wildcard_links: WildcardLinks, tmp_path: Path
) -> None:
    for host in ("a.example.com", "b.example.com", "x.b.example.com"):
        wildcard_links.add(host, WILDCARD)
    wildcard_links.drop("a.example.com")
    wildcard_links.drop("_.b.example.com")
    assert links(tmp_path) == ["b.example.com"]
    wildcard_links.add("b.example.com", "_")
    assert os.readlink(tmp_path / "b.example.com") == "./_"
    wildcard_links.drop_all(WILDCARD)
    assert links(tmp_path) == ["b.example.com"]
    wildcard_links.drop("_")
    assert links(tmp_path) == []


def test_links_of_an_earlier_daemon_are_removed(
    wildcard_links: WildcardLinks, tmp_path: Path
) -> None:
    wildcard_links.add("a.example.com", WILDCARD)
    (tmp_path / "alias.example").symlink_to(WILDCARD)
    WildcardLinks(str(tmp_path))
    assert links(tmp_path) == ["alias.example"]
