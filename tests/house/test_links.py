"""Links lead to something that is there: those of the documentation on GitHub, and those of the
code, the manual pages, the configuration and the alerts to the documentation."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from docs.site.markdown import REPOSITORY

ROOT = Path(__file__).parents[2]
MARKDOWN = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
CODE = re.compile(r"(?ms)^ *```.*?^ *```$")
LINK = re.compile(r"\]\(([^)\s]+)\)|^\[[^\]^]+\]: (\S+)$", re.MULTILINE)
# The names of documents in comments and messages. A manual page names an installed file.
NAMED = re.compile(r"(?<![\w/*-])(?:docs|tests)/[\w./-]*\w\.(?:md|py|ini|json|yml|svg)(?![\w.]*\w)")
# All folders of the repository that have text.
FOLDERS = ("container", "docs", "emperor", "lua", "nginx", "systemd", "tests", ".ci")


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page. A later one of the same text gets a
    number."""
    found: dict[str, int] = {}
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    for heading in re.findall(r"(?m)^#{1,6} +(.+?)$", text):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        times = found[name] = found.get(name, 0) + 1
        if times > 1:
            found[f"{name}-{times - 1}"] = 1
    return set(found)


def links(page: Path) -> list[str]:
    """What a page links to, outside of its code."""
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    return [inline or reference for inline, reference in LINK.findall(text)]


def check(target: Path, anchor: str) -> None:
    """That a file is there, and has a heading with that anchor."""
    assert target.exists(), target
    if anchor and target.suffix == ".md":
        assert anchor in anchors(target), f"{target}#{anchor}"


def texts() -> Iterator[tuple[Path, str]]:
    """The files of the repository that are text."""
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    for path in [*ROOT.glob("*"), *paths]:
        if path.is_file() and "__pycache__" not in path.parts:
            yield path, path.read_text(encoding="utf-8", errors="ignore")


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_links_to_what_is_there(page: Path) -> None:
    for link in links(page):
        url = urlsplit(link)
        if url.scheme:
            assert url.scheme in {"https", "http"}, link
            assert re.fullmatch(r"[\w-]+(\.[\w-]+)+", url.netloc), link
        else:
            check((page.parent / url.path) if url.path else page, url.fragment)


def test_a_link_into_the_repository_names_what_is_there() -> None:
    address = re.compile(rf"{REPOSITORY}/(?:blob|tree)/main/([\w./-]*\w)(?:#([\w-]+))?")
    found = 0
    for _, text in texts():
        for name, anchor in address.findall(text):
            check(ROOT / name, anchor)
            found += 1
    assert found


def test_code_names_documents_that_are_there() -> None:
    for path, text in texts():
        for name in NAMED.findall(text):
            assert (ROOT / name).exists(), f"{path} names {name}"


def test_an_anchor_is_that_of_github(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A `b-c`: d, e?\n## [x](y.md) Z\n## Z\n## Z\n```\n# no heading\n```\n")
    assert anchors(page) == {"a-b-c-d-e", "x-z", "z", "z-1"}
