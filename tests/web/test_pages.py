"""Pages of the administrator's in the place of emperord's own."""

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from emperor.web import pages
from emperor.web.pages import Page, Pages, Visit
from emperor.web.pages.own_pages import DEEPEST, LARGEST, BrokenPage, compiled
from tests.descriptors import descriptors_left
from tests.traces import public_folder

VISIT = Visit("www.example.com", "7f3c", "www.example.com")


@pytest.fixture
def folder() -> Iterator[Path]:
    with public_folder() as folder:
        yield folder


def shown(folder: Path, page: Page = Page.UNKNOWN, visit: Visit = VISIT) -> str:
    """The page of an emperord that has just been started."""
    return Pages(folder).html(page, visit)


@pytest.mark.parametrize(
    ("page", "file"),
    [
        (Page.WAITING, "waiting.html"),
        (Page.UNKNOWN, "404.html"),
        (Page.BROKEN, "error.html"),
        (Page.REFUSED, "error.html"),
        (Page.FAILED, "error.html"),
    ],
)
def test_each_page_has_a_file(folder: Path, page: Page, file: str) -> None:
    assert f"<h1>{page.value.title}</h1>" in shown(folder, page)
    (folder / file).write_text("{{ status }} {{ title }}: {{ text }}")
    assert shown(folder, page) == f"{page.value.status} {page.value.title}: {page.value.text}"


def test_a_vassals_own_page_wins(folder: Path) -> None:
    (folder / "404.html").write_text("all")
    (folder / "www.example.com").mkdir()
    (folder / "www.example.com" / "404.html").write_text("one")
    assert shown(folder) == "one"
    assert shown(folder, visit=Visit("other.example", "", "other.example")) == "all"
    assert shown(folder, visit=Visit("www.example.com", "", None)) == "all"


def test_what_visitors_wrote_is_escaped(folder: Path) -> None:
    (folder / "404.html").write_text(
        "{{ domain }}{% if request_id %} ({{ request_id }}){% endif %}"
    )
    assert shown(folder, visit=Visit("a", "<b>", None)) == "a (&lt;b&gt;)"
    assert shown(folder, visit=Visit("a", "", None)) == "a"


@pytest.mark.parametrize(
    ("source", "line", "cause"),
    [
        ("a\n{{ nosuch }}", 2, "there is no 'nosuch'; there are status, title, text"),
        ("a\nb\n{{ title", 3, "unexpected end of template"),
        ("{% if title %}\n", 1, "Unexpected end of template"),
        ("{{ title.__class__ }}", 1, "but no getattr"),
        ("{{ title|safe }}", 1, "but no filter"),
        ("\n{% for x in title %}{% endfor %}", 2, "but no for"),
        ("{{ title() }}", 1, "but no call"),
        ("{{ 9 ** 99999999 }}", 1, "but no pow"),
        ("{% include '/etc/passwd' %}", 1, "but no include"),
        ("{% if title %}" * 20 + "{% endif %}" * 20, 1, "nested too deep"),
        ("{% if title %}" * 9999 + "{% endif %}" * 9999, 0, "it is no template"),
    ],
)
def test_a_page_that_does_not_parse_names_the_line(source: str, line: int, cause: str) -> None:
    with pytest.raises(BrokenPage, match=cause) as raised:
        compiled(source)
    assert raised.value.line == line


def test_blocks_may_be_nested_to_a_limit() -> None:
    assert compiled("{% if title %}" * DEEPEST + "{% endif %}" * DEEPEST)


def test_a_broken_page_is_logged_once_and_not_used(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = folder / "404.html"
    path.write_text("\n{{ nosuch }}")
    pages = Pages(folder)
    for _ in range(3):
        assert "<h1>No such site</h1>" in pages.html(Page.UNKNOWN, VISIT)
    [line] = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert line.startswith(f"cannot use {path}: line 2: there is no 'nosuch'; ")
    assert line.endswith("; emperord's own page is used")
    path.write_text("mended")
    assert pages.html(Page.UNKNOWN, VISIT) == "mended"
    path.unlink()
    assert "<h1>No such site</h1>" in pages.html(Page.UNKNOWN, VISIT)


def test_a_page_that_cannot_be_read_for_a_while_is_used_again(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = folder / "404.html"
    path.write_text("own")
    pages = Pages(folder)
    with descriptors_left():
        for _ in range(3):
            assert "<h1>No such site</h1>" in pages.html(Page.UNKNOWN, VISIT)
    assert pages.html(Page.UNKNOWN, VISIT) == "own"
    assert [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING] == [
        f"cannot use {path}: Too many open files; emperord's own page is used"
    ]


def test_a_page_that_others_may_have_written_is_not_used(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outside = folder / "outside.html"
    outside.write_text("secret")
    (folder / "pages").mkdir()
    page = folder / "pages" / "404.html"

    def refusal() -> str:
        caplog.clear()
        assert "<h1>No such site</h1>" in shown(folder / "pages")
        return caplog.text

    page.symlink_to(outside)
    assert "it is a link to a file outside" in refusal()
    page.unlink()
    os.mkfifo(page)
    assert "it is not a file" in refusal()
    page.unlink()
    page.write_text("x" * (LARGEST + 1))
    assert "it has more than 256 KB" in refusal()
    page.write_bytes(b"\n\xff")
    assert "line 2: it is not UTF-8 text" in refusal()
    page.write_text("ok")
    page.chmod(0o666)
    assert "others than root can change it" in refusal()
    page.chmod(0o644)
    page.parent.chmod(0o777)
    assert f"others than root can change {page.parent}" in refusal()
    page.parent.chmod(0o755)
    assert shown(folder / "pages") == "ok"


HOSTILE = ("", "<b>&\"'", "{{ title }}", "{% if title %}", "\\1", "  ")


@pytest.mark.parametrize("page", Page)
@pytest.mark.parametrize("text", HOSTILE)
def test_emperords_own_page_is_what_jinja_makes_of_it(folder: Path, page: Page, text: str) -> None:
    """Apart from the two ways to write a quote."""
    source = (Path(pages.__file__).parent / "page.html").read_text()
    visit = Visit(text, text[::-1], None, text)
    values = {
        "status": page.value.status, "title": page.value.title, "text": page.value.text,
        "estimate": text, "refresh_seconds": page.value.refresh_seconds, "domain": text,
        "request_id": text[::-1],
    }  # fmt: skip
    with_jinja = compiled(source.removesuffix("\n")).render(values)
    quoted = with_jinja.replace("&#34;", "&quot;").replace("&#39;", "&#x27;")
    assert shown(folder / "none", page, visit).removesuffix("\n") == quoted


def test_a_folder_that_comes_later_is_used(folder: Path) -> None:
    own = folder / "pages"
    later = Pages(own)
    assert "<h1>No such site</h1>" in later.html(Page.UNKNOWN, VISIT)
    own.mkdir()
    (own / "404.html").write_text("ours")
    assert later.html(Page.UNKNOWN, VISIT) == "ours"


def test_libraries_that_do_not_fit_cost_own_pages_alone(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "emperor.web.pages.own_pages", None)
    (folder / "404.html").write_text("ours")
    without = Pages(folder)
    for _ in range(2):
        assert "<h1>No such site</h1>" in without.html(Page.UNKNOWN, VISIT)
    assert caplog.text.count("; run `emperorctl upgrade`") == 1
