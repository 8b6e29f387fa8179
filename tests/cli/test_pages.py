"""`emperorctl pages`, and the page of docs/pages.md."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from emperor.web.pages import FILES, Page, Pages, Visit
from emperor.web.pages.own_pages import PLACEHOLDERS
from tests.cli.conftest import Ctl
from tests.traces import public_folder

DOC = Path(__file__).parents[2] / "docs" / "pages.md"


@pytest.fixture
def folder() -> Iterator[Path]:
    with public_folder() as folder:
        yield folder


def test_each_broken_page_is_named_with_its_line(folder: Path, ctl: Ctl) -> None:
    (folder / "a.example").mkdir()
    (folder / "404.html").write_text("{{ title }}")
    assert ctl("pages", str(folder)).status == 0
    (folder / "a.example" / "error.html").write_text("\n{{ titel }}")
    (folder / "eror.html").write_text("")
    result = ctl("pages", str(folder))
    assert result.status == 1
    first, second = result.out.splitlines()
    assert first.startswith(f"{folder}/a.example/error.html:2: error: there is no 'titel'; ")
    assert second.startswith(f"{folder}/eror.html: error: emperord has no such page; there are ")
    assert result.err == f"emperorctl: emperord cannot use 2 of the files in {folder}\n"


def test_a_folder_that_leads_outside_is_told_once(folder: Path, ctl: Ctl) -> None:
    (folder / "a.example").symlink_to("/etc")
    result = ctl("pages", str(folder))
    (line,) = result.out.splitlines()
    assert line.startswith(f"{folder}/a.example: error: it is a link to a folder outside {folder};")


def test_a_folder_that_is_not_there_is_an_error(folder: Path, ctl: Ctl) -> None:
    result = ctl("pages", str(folder / "none"))
    assert (result.status, result.err) == (
        1, f"emperorctl: cannot read {folder}/none: No such file or directory\n",
    )  # fmt: skip


def test_the_example_of_the_page_can_be_used(folder: Path, ctl: Ctl) -> None:
    [example] = re.findall(r"(?ms)^```html\n(.*?)^```", DOC.read_text())
    (folder / "waiting.html").write_text(example)
    assert ctl("pages", str(folder)).status == 0
    visit = Visit("www.example.com", "7f3c", None, "It will take about 4 seconds more.")
    text = Pages(folder).html(Page.WAITING, visit)
    assert '<meta http-equiv="refresh" content="1">' in text
    assert "<p>It will take about 4 seconds more.</p>" in text


def test_the_page_lists_all_files_and_names() -> None:
    rows = set(re.findall(r"(?m)^\| `([\w.]+)` \|", DOC.read_text()))
    assert rows == {*FILES, *PLACEHOLDERS}
