"""The rules of the house: format, lint, types, sizes, names, and imports that point one way."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "emperor"

# Each layer may import itself and those before it.
LAYERS = (
    ("model",),
    ("guarded",),
    ("linux",),
    ("bases", "registry"),
    ("supervisor", "uwsgi"),
    ("notices",),
    ("handover", "sources"),
    ("pull",),
    ("web",),
    (
        "config",
        "failure",
        "early_refusal",
        "fair_cpu",
        "fleet",
        "gc_freeze",
        "real_ports",
        "rescans",
        "service",
        "succession",
    ),
    ("balancer", "cli", "daemon", "process"),
    ("start",),
)
# The model may not import these.
PURE = PACKAGE / "model"
IMPURE = {"asyncio", "os", "socket", "time", "logging", "subprocess", "random", "signal"}


def imported(path: Path) -> set[str]:
    """The names of all modules that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
    return found


def layer(part: str) -> int:
    """The number of the layer that a part of the package belongs to."""
    return next(number for number, parts in enumerate(LAYERS) if part in parts)


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions and methods of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def docstrings(path: Path) -> list[tuple[ast.AST, str]]:
    """All docstrings of a file, each with the node that has it."""
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [(node, ast.get_docstring(node) or "") for node in nodes if isinstance(node, kinds)]


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
# All that others read and call. The docstring of a test goes on where the name of the test ends.
EXPLAINED = sorted({*FILES, *ROOT.glob("docs/**/*.py"), *ROOT.glob("tests/**/*.py")} - set(TESTS))
# A docstring that begins so has its subject in another docstring or in a name.
NO_SUBJECT = re.compile(
    r"(It|Is|That|Those|These|Their|The same|One more|Another one|There is none|Both\."
    r"|Do (as|it|so|that)|As|By|For|From|Of|With|Without|In an? thread|In the thread"
    r"|Also|And|Else|Neither|Nor|So)(?!\w)"
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    own = layer(path.relative_to(PACKAGE).parts[0].removesuffix(".py"))
    for name in imported(path):
        if name.startswith("emperor."):
            assert layer(name.split(".")[1]) <= own, f"{path} imports {name}"


@pytest.mark.parametrize("path", sorted(PURE.glob("*.py")), ids=lambda path: path.name)
def test_the_model_touches_nothing(path: Path) -> None:
    assert not imported(path) & IMPURE


def test_the_supervisor_imports_the_model_alone() -> None:
    for path in (PACKAGE / "supervisor").glob("*.py"):
        ours = {name.split(".")[1] for name in imported(path) if name.startswith("emperor.")}
        assert ours <= {"model", "supervisor"}, path


def test_sources_import_no_runtime() -> None:
    for path in (*(PACKAGE / "sources").glob("*.py"), *(PACKAGE / "pull").glob("*.py")):
        assert not {name for name in imported(path) if name.startswith("emperor.uwsgi")}, path


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_has_fewer_than_400_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < 400


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_logger_is_named_after_its_module(path: Path) -> None:
    names = re.findall(r"getLogger\((\S+)\)", path.read_text(encoding="utf-8"))
    assert set(names) <= {f'"emperord.{path.stem}"'}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_function_has_at_most_50_lines(path: Path) -> None:
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions(path)}
    assert not {name: lines for name, lines in lengths.items() if lines > 50}


@pytest.mark.parametrize("path", EXPLAINED, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_docstring_can_be_understood_alone(path: Path) -> None:
    assert not [text for _, text in docstrings(path) if NO_SUBJECT.match(text)], "name the subject"


@pytest.mark.parametrize("path", EXPLAINED, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_class_says_what_it_is_before_its_arguments(path: Path) -> None:
    classes = [text for node, text in docstrings(path) if isinstance(node, ast.ClassDef)]
    assert not [text for text in classes if text.startswith("`")]


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT / "tests")))
def test_a_name_of_a_test_has_fewer_than_60_characters(path: Path) -> None:
    names = [node.name for node in functions(path) if node.name.startswith("test_")]
    assert not [name for name in names if len(name) >= 60]


def test_no_fixture_gives_an_app_more_than_emperord_does() -> None:
    """Otherwise the tests cannot see what uWSGI refuses. In tests/bench an ini may differ, which is
    what is measured, and the tables of inis in tests/journeys vary what emperord gives."""
    fixtures = {*(ROOT / "tests").rglob("*.py"), *(ROOT / "docs").rglob("*.py")} - set(TESTS)
    fixtures -= {ROOT / "tests" / "bench" / name for name in ("apps.py", "upload.py")}
    fixtures -= {ROOT / "tests" / "journeys" / f"{name}.py" for name in ("inis", "inis_of_people")}
    larger = re.compile(r"buffer[-_]size =|--buffer-size|max[-_]vars|post[-_]buffering")
    assert [path for path in fixtures if larger.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_what_tests_share_stands_in_a_module_of_its_own(path: Path) -> None:
    modules = {name.rpartition(".")[2] for name in imported(path) if name.startswith("tests.")}
    assert not {module for module in modules if module.startswith("test_")}


@pytest.mark.parametrize(
    "command",
    [("ruff", "format", "--check", "."), ("ruff", "check", "."), ("mypy",)],
    ids=" ".join,
)
def test_a_linter_is_content(command: tuple[str, ...]) -> None:
    program = Path(sys.executable).with_name(command[0])
    result = subprocess.run(
        [program, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
