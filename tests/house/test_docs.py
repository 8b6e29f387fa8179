"""The documentation says what the code says."""

import inspect
import re
from pathlib import Path
from types import NoneType
from typing import get_args, get_type_hints

import pytest

from docs.api_page import RECORDS, meanings
from docs.generate import PAGES
from emperor.cli.placement import Placement, Rule
from emperor.cli.route import route_of
from emperor.model import status
from emperor.model.problem import ProblemCode
from emperor.model.settings import KEYS, read_settings
from tests.faults.outcome import Outcome
from tests.faults.table import FAULTS, Fault

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_generated_page_is_up_to_date(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == PAGES[page](), "run `make docs`"


def test_every_setting_stands_in_the_documentation() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for key in KEYS:
        assert f"| {key.name} | " in page


@pytest.mark.parametrize(
    "page", ["settings.md", "api.md", "examples/emperord.ini", "man/emperord.8"]
)
def test_a_generated_page_fits_100_columns(page: str) -> None:
    lines = (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) > 100] == []


def test_every_record_of_the_api_stands_in_its_page() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for name, record in inspect.getmembers(status, inspect.isclass):
        if record.__module__ == status.__name__:
            assert f"\n### {name}\n" in page


def test_null_is_explained_where_a_field_may_be_null() -> None:
    for record in RECORDS:
        texts = meanings(record)
        for name, kind in get_type_hints(record).items():
            assert ("null: " in texts[name]) == (NoneType in get_args(kind)), (record, name)


def test_every_error_of_the_api_can_happen() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "emperor/web").glob("*.py")]
    for code in ProblemCode:
        assert any(f"ProblemCode.{code.name}" in source for source in sources), code


def test_every_header_that_nginx_sends_stands_in_the_page_of_the_api() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    journey = (ROOT / "nginx" / "emperord" / "journey.conf").read_text(encoding="utf-8")
    sent = set(re.findall(r"proxy_set_header +(X-[\w-]+)", journey))
    told = set(re.findall(r"^- `(X-[\w-]+)`: ", page, re.MULTILINE))
    source = (ROOT / "emperor" / "web" / "activation.py").read_text(encoding="utf-8")
    read = set(re.findall(r'"(X-[\w-]+)"', source)) - {"X-Accel-Redirect"}
    assert sent == told == read


def test_the_host_in_the_picture_of_the_journey_belongs_where_it_is_shown() -> None:
    placement = Placement(ROOT / "lua" / "init_backends.lua", Rule.STOCK)
    route = route_of("example.com", placement)
    assert (route.number, placement.number(route.substitutes[0])) == (2, 3)


def test_every_promise_is_tested_by_a_test_that_is_there() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    file, named = "", 0
    for found, name in re.findall(r"`(tests/[\w/]+\.py)?::(\w+)`", page):
        file = found or file
        source = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"^(async def|def|class) {name}\b|^{name} = ", source, re.MULTILINE), name
        named += 1
    assert named == page.count("::")


def test_every_fault_is_told_with_what_becomes_of_requests() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = [f"| {fault.name} | {_told(fault)} |" for fault in FAULTS]
    told = page.partition("| fault | a request is |\n|---|---|\n")[2].partition("\n\n")[0]
    assert told.splitlines() == rows


def _told(fault: Fault) -> str:
    others = [outcome.name.lower() for outcome in Outcome if outcome in fault.allows]
    if not others:
        return "answered"
    *most, last = others
    return f"answered, or {', '.join(most)} or {last}" if most else f"answered, or {last}"


def test_the_settings_that_are_installed_say_what_holds_without_them() -> None:
    text = (ROOT / "docs" / "examples" / "emperord.ini").read_text(encoding="utf-8")
    defaults = read_settings("", "nowhere", {})
    assert read_settings(text, "emperord.ini", {}) == defaults
    spelled_out = re.sub(r"^;(?=[a-z-]+ =)", "", text, flags=re.MULTILINE)
    assert len(re.findall(r"^[a-z-]+ =", spelled_out, re.MULTILINE)) == len(KEYS)
    assert read_settings(spelled_out, "emperord.ini", {}) == defaults
