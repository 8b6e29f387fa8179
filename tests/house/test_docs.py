"""The documentation says what the code says."""

import inspect
import re
from pathlib import Path
from types import NoneType
from typing import get_args, get_type_hints

import pytest
from rich.text import Text

from docs.api_page import RECORDS, meanings
from docs.benchmarks_page import SECTIONS, Section, digest, picture, rows_of
from docs.captures import CAPTURES
from docs.figures import BLOCK, FIGURES, read
from docs.generate import PAGES, QUOTING
from emperor.cli.placement import Placement, Rule
from emperor.cli.route import route_of
from emperor.cli.table import HEADER, PEAK
from emperor.model import status
from emperor.model.balancer_settings import KEYS as BALANCER_KEYS
from emperor.model.problem import ProblemCode
from emperor.model.registry_access import KEYS as REGISTRY_KEYS
from emperor.model.settings import KEYS, read_settings
from emperor.uwsgi.spec import EMPEROR_KEYS
from tests.bench.peers.rows import COMPARISONS
from tests.faults.outcome import Outcome
from tests.faults.table import FAULTS, Fault

ROOT = Path(__file__).parents[2]
# emperorctl's modules have the names of its commands.
PACKAGES = sorted(
    {path.parent for path in ROOT.glob("emperor/*/__init__.py")} - {ROOT / "emperor/cli"}
)
MARKDOWN = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
URL = re.compile(r"https?://\S{60}")
# How a figure looks that somebody measured: whole seconds are settings, as a rule.
MEASURED = re.compile(
    r"\d[\d,.]*\s(?:µs|ms|KB|MB|GB|requests/s)(?!\w)|\d+\.\d+\ss\b|\b[01]\.\d\d\b"
)
# What looks like one and is none: the setting, or the load of a test, that it quotes.
SETTINGS_AND_LOADS = {
    "50 requests/s": "the load in tests/systemd/test_survival.py",
    "1.5 s": "TIMEOUT_MS of lua/health.lua, and READ_SECONDS of emperor/registry/etcd_members.py",
    "0.2 s": "JITTER_SECONDS of emperor/pull/follower.py",
    "64 MB": "proxy_max_temp_file_size of nginx/loadbalancer.conf",
    "100 MB": "client_max_body_size of nginx/loadbalancer.conf",
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_generated_page_is_up_to_date(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == PAGES[page](), "run `make docs`"


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.rows)
def test_a_plot_is_of_the_figures_of_its_page(section: Section) -> None:
    rows = rows_of(section, read(FIGURES))
    plot = picture(section)
    assert plot.exists() == bool(rows)
    if rows:
        assert digest(rows) in plot.read_text(encoding="utf-8"), "run `make bench` or `make docs`"


def test_a_picture_of_the_status_has_the_columns_of_today() -> None:
    shown = Text.from_ansi((CAPTURES / "status.ansi").read_text(encoding="utf-8")).plain
    assert shown.splitlines()[2].split() == [each for each in HEADER if each != PEAK]


def test_every_part_of_the_comparison_has_its_section() -> None:
    assert [section.rows for section in SECTIONS] == list(COMPARISONS)


def test_every_setting_stands_in_the_documentation() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for key in KEYS:
        assert f"| {key.name} | " in page


def test_the_manual_page_has_every_key_of_its_section() -> None:
    page = (ROOT / "docs/man/emperord.8").read_text(encoding="utf-8").replace("\\-", "-")
    settings, _, vassals = page.partition(".SH SETTINGS\n")[2].partition('"SETTINGS OF ONE VASSAL"')
    vassals = vassals.partition("\n.SH")[0]
    assert [key.name for key in KEYS if not _stands_in(settings, key.name)] == []
    assert [name for name in EMPEROR_KEYS if not _stands_in(vassals, name)] == []


def test_each_key_of_a_registry_and_of_a_balancer_is_told() -> None:
    manuals = ROOT / "docs" / "man"
    page = (manuals / "emperord.8").read_text(encoding="utf-8").replace("\\-", "-")
    section = page.partition('.SH "THE REGISTRY"\n')[2].partition("\n.SH")[0]
    table = (ROOT / "docs/registry.md").read_text(encoding="utf-8").partition("## Each machine")[2]
    rows = "\n".join(re.findall(r"(?m)^\| ([^|]+) \|", table.partition("\n## ")[0]))
    for key in REGISTRY_KEYS:
        assert _stands_in(section, key.name)
        assert _stands_in(rows, key.name)
    agent = (manuals / "emperord-balancer.8").read_text(encoding="utf-8").replace("\\-", "-")
    assert [key.name for key in BALANCER_KEYS if not _stands_in(agent, key.name)] == []


def test_the_settings_page_has_every_key_of_a_vassal() -> None:
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    rows = "\n".join(re.findall(r"(?m)^\| [^|]+ \|", page.partition("## What a vassal sets")[2]))
    assert [name for name in EMPEROR_KEYS if not _stands_in(rows, name)] == []


def _stands_in(text: str, name: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None


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


def test_the_page_of_the_api_has_every_header_of_nginx() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    asks = (ROOT / "nginx" / "emperord" / "ask.conf").read_text(encoding="utf-8")
    sent = set(re.findall(r"proxy_set_header +(X-[\w-]+)", asks))
    described = set(re.findall(r"^- `(X-[\w-]+)`: ", page, re.MULTILINE))
    source = (ROOT / "emperor" / "web" / "hit.py").read_text(encoding="utf-8")
    read = set(re.findall(r'"(X-[\w-]+)"', source))
    assert sent == described == read


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_the_architecture_names_every_module(package: Path) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    tree = re.findall(r"(?ms)^  (\w+)/ (.*?)(?=^  \w|^```)", page)
    named = re.findall(r"\w+", dict(tree)[package.name])
    modules = {path.stem for path in package.rglob("*.py")} - {"__init__"}
    assert modules <= set(named)


def test_the_architecture_names_the_modules_in_no_package() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    modules = {path.stem for path in ROOT.glob("emperor/*.py")} - {"__init__"}
    assert modules == set(re.findall(r"(?m)^  (\w+)   *\w", page)) & modules


def test_the_page_for_contributors_names_every_folder_of_tests() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    folders = {path.parent.name for path in ROOT.glob("tests/*/test_*.py")}
    assert folders == set(re.findall(r"`tests/(\w+)`", page)) - {"bench", "apps"}


def test_the_pictured_host_belongs_where_it_is_shown() -> None:
    placement = Placement(ROOT / "lua" / "init_backends.lua", Rule.STOCK)
    route = route_of("example.com", placement)
    assert (route.number, placement.number(route.substitutes[0])) == (2, 3)


def test_every_promise_is_tested_by_a_test_that_is_there() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    source, named = "", 0
    for file, name in re.findall(r"`(tests/[\w/]+\.py)?(?:::(\w+))?`", page):
        source = (ROOT / file).read_text(encoding="utf-8") if file else source
        if name:
            assert re.search(
                rf"^(async def|def|class) {name}\b|^{name} = ", source, re.MULTILINE
            ), name
            named += 1
    assert named == page.count("`::") > 0


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_footnote_has_its_text(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    defined = re.findall(r"^\[\^([\w-]+)\]:", text, re.MULTILINE)
    used = re.findall(r"\[\^([\w-]+)\](?!:)", text)
    assert sorted(defined) == sorted(set(used))


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_fits_into_100_columns(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    long = [line for line in lines if len(line) > 100 and not URL.search(line)]
    # The table of transitions has as many columns as there are states, and that of limits has long
    # names of rows.
    is_wide = page.name in ("lifecycle.md", "benchmarks.md")
    assert [line for line in long if not (is_wide and line.startswith("|"))] == []


def test_the_start_page_names_each_page() -> None:
    docs = ROOT / "docs"
    named = re.findall(r"(?m)^- \[[^\]]+\]\(([^)]+)\)", (docs / "README.md").read_text())
    pages = {str(page.relative_to(docs)) for page in docs.rglob("*.md")}
    # A folder's README.md names the other pages of the folder, and PyPI shows pypi.md.
    listed = {page for page in pages if "/" not in page or page.endswith("/README.md")}
    assert listed - {"README.md", "pypi.md"} <= set(named)


@pytest.mark.parametrize("page", QUOTING, ids=lambda page: page.name)
def test_measured_figures_stand_in_generated_tables(page: Path) -> None:
    prose = BLOCK.sub("", page.read_text(encoding="utf-8"))
    assert set(MEASURED.findall(prose)) <= set(SETTINGS_AND_LOADS)


def test_every_fault_is_told_with_what_becomes_of_requests() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = [f"| {fault.name} | {_told(fault)} |" for fault in FAULTS]
    shown = page.partition("| fault | a request is |\n|---|---|\n")[2].partition("\n\n")[0]
    assert shown.splitlines() == rows


def _told(fault: Fault) -> str:
    others = [outcome.name.lower() for outcome in Outcome if outcome in fault.allows]
    if not others:
        return "answered"
    *most, last = others
    return f"answered, or {', '.join(most)} or {last}" if most else f"answered, or {last}"


def test_the_installed_settings_state_the_defaults() -> None:
    text = (ROOT / "docs" / "examples" / "emperord.ini").read_text(encoding="utf-8")
    # A new installation is stricter than a daemon without a file.
    defaults = read_settings("", "nowhere", {"allow-root": "false"})
    assert read_settings(text, "emperord.ini", {}) == defaults
    spelled_out = re.sub(r"^;(?=[a-z-]+ =)", "", text, flags=re.MULTILINE)
    assert len(re.findall(r"^[a-z-]+ =", spelled_out, re.MULTILINE)) == len(KEYS)
    assert read_settings(spelled_out, "emperord.ini", {}) == defaults
