"""Which modules an app gets from its base, and which it imports anew: in a real Python that has
imported them as a base does."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from emperor.bases import inside

PACKAGE = Path(inside.__file__).parents[2]
BASE = f"""
import sys
loaded = frozenset(sys.modules)
sys.path[:] = [*sys.path[1:], {str(PACKAGE.parent)!r}]
from emperor.bases.inside.needs import Needs
needs = Needs()
needs.begin()
from emperor.bases.inside.preload import preload
from emperor.bases.inside.reads import Reads
from emperor.bases.inside.store import Store
sys.path.pop()
reads = Reads(needs)
reads.begin()
assert not preload(["json", "http.client", "http.cookiejar", "decimal", "zipfile", "csv", "asyncio",
                    "xml.sax"])
reads.end()
needs.end()
store = Store(needs, reads)
store.put_away(loaded)
del Needs, Reads, Store, preload
def is_kept(name):
    return sys.modules[name] is vars(store)["_kept"].get(name)
"""
PYTHON = os.path.realpath(sys.executable)


def run(app: str, folder: Path) -> str:
    """Run this as an app of a base, in that folder. Returns what it prints."""
    return python(BASE + textwrap.dedent(app), folder)


def python(code: str, folder: Path) -> str:
    """Run this in a Python that has imported nothing. Returns what it prints."""
    done = subprocess.run(
        [PYTHON, "-S", "-c", code],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_app_gets_the_modules_of_its_base(tmp_path: Path) -> None:
    run(
        """
        assert not {"json", "email", "http", "decimal"} & {*sys.modules}
        import json, http.client
        assert is_kept("json") and is_kept("json.decoder") and is_kept("http.client")
        assert is_kept("email.parser"), "http.client needs it"
        assert "decimal" not in sys.modules and "http.cookiejar" not in sys.modules
        """,
        tmp_path,
    )


def test_a_module_has_the_spec_that_it_always_has(tmp_path: Path) -> None:
    run(
        """
        import decimal, json
        for module in (json, sys.modules['_decimal']):
            assert type(module.__spec__.loader) is type(module.__loader__)
            assert type(module.__loader__).__name__ in ("SourceFileLoader", "ExtensionFileLoader")
            assert not module.__spec__._initializing
        import importlib
        assert importlib.reload(json) is json
        """,
        tmp_path,
    )


def test_a_submodule_is_there_when_it_is_imported(tmp_path: Path) -> None:
    run(
        """
        import http
        assert not hasattr(http, "client")
        import http.client
        assert http.client is sys.modules["http.client"] and not hasattr(http, "cookiejar")
        from http import cookiejar
        assert is_kept("http.cookiejar") and http.cookiejar is cookiejar
        """,
        tmp_path,
    )


@pytest.mark.parametrize(
    ("sets", "module"),
    [("os.environ['LANGUAGE'] = 'de'", "optparse"),
     ("os.environb[b'LANGUAGE'] = b'de'", "optparse"),
     ("os.environ['PYTHONTZPATH'] = '/zones'", "zoneinfo._tzpath"),
     ("os.environ['ANOTHER'] = 'another'", "wsgiref.handlers")],
)  # fmt: skip
def test_what_reads_variables_is_imported_with_those_of_the_app(
    tmp_path: Path, sets: str, module: str
) -> None:
    base = BASE.replace('["json", ', '["json", "optparse", "zoneinfo", "wsgiref.handlers", ')
    app = f"import {module}; assert is_kept({module!r})"
    python(base + app, tmp_path)
    python(f"{base}\nimport os; {sets}; {app.replace('assert', 'assert not')}", tmp_path)


PACKAGE_THAT_MAKES = """
import sys, types
made = sys.modules["maker.made"] = types.ModuleType("maker.made")
"""


@pytest.mark.parametrize("first", ["import maker", "import maker.made", "from maker import made"])
def test_a_package_brings_the_modules_that_it_has_made(tmp_path: Path, first: str) -> None:
    """As collections makes collections.abc since Python 3.13."""
    (tmp_path / "maker").mkdir()
    (tmp_path / "maker" / "__init__.py").write_text(PACKAGE_THAT_MAKES)
    place = f"sys.path.insert(0, {str(tmp_path)!r})"
    base = BASE.replace("needs.end()", f"{place}; {first}; needs.end()")
    app = "import maker.made; assert is_kept('maker') and is_kept('maker.made')"
    python(base + app, tmp_path)


# Modules of which the app has a copy, where it puts them, and what it imports.
SHADOWS = ("json", "calendar", "struct", "copy", "enum", "email", "weakref", "socket", "types")
WAYS = {
    "in-front": "sys.path.insert(0, {entry!r})",
    "after-some-imports": "import http.client; sys.path.insert(0, {entry!r})",
    "behind": "sys.path.append({entry!r})",
    "zipped": "sys.path.insert(0, {entry!r} + '.zip')",
    "without-init": "sys.path.insert(0, {entry!r} + '.bare')",
}
IMPORTS = "import json, csv, decimal, http.cookiejar, zipfile, http.client, xml.sax, asyncio"
ORIGINS = """
for name, module in sorted(sys.modules.items()):
    origin = getattr(module, "__file__", None)
    # A base has what Python has in itself, and the parts of importlib that this needs.
    if origin and name != "__main__" and not name.startswith("importlib"):
        print(name, origin, module.__spec__.name, module.__spec__.origin, sep="\\t")
"""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shadow", SHADOWS)
def test_an_app_imports_the_files_that_any_python_would(
    tmp_path: Path, shadow: str, way: str
) -> None:
    entry = tmp_path / "app"
    library = Path(os.__file__).parent
    if (library / shadow).is_dir():
        shutil.copytree(library / shadow, entry / shadow)
    else:
        entry.mkdir()
        shutil.copy(library / f"{shadow}.py", entry)
    shutil.make_archive(str(entry), "zip", entry)
    (tmp_path / "app.bare" / shadow).mkdir(parents=True)
    app = "\n".join([WAYS[way].format(entry=str(entry)), IMPORTS, ORIGINS])
    assert run(app, tmp_path) == python(f"import sys\n{app}", tmp_path)


def test_an_app_has_its_own_module_and_those_that_need_it(tmp_path: Path) -> None:
    shutil.copy(Path(os.__file__).parent / "calendar.py", tmp_path)
    run(
        """
        sys.path.insert(0, ".")
        import csv, http.cookiejar, json, zipfile
        assert not is_kept("calendar") and not is_kept("http.cookiejar")
        assert http.cookiejar.timegm is sys.modules["calendar"].timegm
        assert is_kept("csv") and is_kept("json") and is_kept("zipfile")
        """,
        tmp_path,
    )


def test_a_finder_of_the_app_is_asked_first(tmp_path: Path) -> None:
    run(
        """
        from importlib.machinery import ModuleSpec
        class Finder:
            @staticmethod
            def find_spec(name, path, target=None):
                return ModuleSpec(name, Finder) if name == "calendar" else None
            @staticmethod
            def create_module(spec):
                return None
            @staticmethod
            def exec_module(module):
                module.timegm = print
        sys.meta_path.insert(0, Finder)
        import http.cookiejar
        assert http.cookiejar.timegm is print
        """,
        tmp_path,
    )


def test_a_folder_taken_from_the_path_is_not_searched(tmp_path: Path) -> None:
    run(
        """
        sys.path[:] = []
        try:
            import json
        except ModuleNotFoundError:
            sys.exit(0)
        sys.exit(1)
        """,
        tmp_path,
    )


def test_what_the_base_did_not_find_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "msvcrt.py").write_text("")
    run(
        """
        sys.path.insert(0, ".")
        try:
            import subprocess  # which takes this for Windows now
        except ModuleNotFoundError as error:
            sys.exit(0 if error.name == "_winapi" else 1)
        sys.exit(1)
        """,
        tmp_path,
    )


def test_a_module_that_the_app_has_blocked_stays_blocked(tmp_path: Path) -> None:
    run(
        """
        sys.modules["calendar"] = None
        try:
            import http.cookiejar
        except ModuleNotFoundError as error:
            sys.exit(0 if error.name == "calendar" else 1)
        sys.exit(1)
        """,
        tmp_path,
    )
