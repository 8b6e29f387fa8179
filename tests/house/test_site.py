"""The documentation as a site: it builds without a warning, each link of it leads to something that
is there, and it loads nothing from elsewhere."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from docs.site.markdown import NO_PAGES, for_the_site

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if page.name not in NO_PAGES)
# What a browser loads by itself, as opposed to a link that a reader follows.
LOADED = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src")}


@dataclass
class Html(HTMLParser):
    """What a page of HTML leads to, what it loads, and the anchors that it has."""

    leads_to: set[str] = field(default_factory=set)
    loads: set[str] = field(default_factory=set)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif (tag, name) in LOADED and value:
                self.loads.add(value)
            elif (tag, name) == ("a", "href") and value:
                self.leads_to.add(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Path, Html]]:
    """All pages of the built site by their files."""
    folder = tmp_path_factory.mktemp("site") / "html"
    built = subprocess.run(
        [sys.executable, "-m", "docs.site", folder],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (built.returncode, built.stdout + built.stderr) == (0, "")
    pages = {}
    for path in folder.rglob("*.html"):
        pages[path] = Html()
        pages[path].feed(path.read_text(encoding="utf-8"))
    yield pages


def test_the_site_has_each_page(site: dict[Path, Html]) -> None:
    [start] = [path for path in site if path.parent.name == "html" and path.name == "index.html"]
    made = {path.relative_to(start.parent) for path in site}
    assert {page.relative_to(DOCS).with_suffix(".html") for page in PAGES} <= made


def test_each_link_of_the_site_leads_to_what_is_there(site: dict[Path, Html]) -> None:
    for path, html in site.items():
        for link in html.leads_to | html.loads:
            to = urlsplit(link)
            if to.scheme:
                assert (to.scheme, "." in to.netloc) == ("https", True), f"{path}: {link}"
                continue
            target = (path.parent / unquote(to.path)).resolve() if to.path else path
            assert target.exists(), f"{path}: {link}"
            if to.fragment:
                assert to.fragment in site[target].anchors, f"{path}: {link}"


def test_the_site_loads_nothing_from_elsewhere(site: dict[Path, Html]) -> None:
    loaded = {each for html in site.values() for each in html.loads}
    assert loaded
    assert [each for each in loaded if re.match(r"[a-z]+:|//", each)] == []
    folder = min(site, key=lambda path: len(path.parts)).parent
    styles = [path.read_text(encoding="utf-8") for path in folder.rglob("*.css")]
    assert [style for style in styles if re.search(r"(?:url\(|@import )[\"']?https?:", style)] == []


def test_a_link_out_of_the_pages_leads_to_the_repository() -> None:
    text = "[a](b.md#c) ![p](x.svg) [n](../nginx/backend.conf) [e](examples)\n```\n[x](../y)\n```\n"
    assert for_the_site(text, DOCS / "sites.md", DOCS) == (
        "[a](b.md#c) ![p](x.svg) "
        "[n](https://github.com/emperord/emperord/blob/main/nginx/backend.conf) "
        "[e](https://github.com/emperord/emperord/tree/main/docs/examples)\n```\n[x](../y)\n```\n"
    )
