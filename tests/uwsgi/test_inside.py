"""Python inside an app does not list the folder of inis, and still finds modules there."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from emperor.uwsgi.command import argv
from emperor.uwsgi.copies import Copy
from tests.eventually import PATIENCE_SECONDS
from tests.uwsgi.house import DOMAIN, spec
from tests.uwsgi.oracle import UWSGI

APP = """\
import os, sys
import colorsys, decimal, email.message

finders = [sys.path_importer_cache[entry] for entry in (".", os.getcwd())]
facts = {
    "kinds": [type(finder).__name__ for finder in finders],
    "listed": [finder._path_mtime != -1 for finder in finders],
    "folder": os.getcwd(),
}


def application(environ, start_response):
    return []
"""
# The master would replace a worker that exits.
REPORT = """
import json, signal
print(json.dumps(facts), flush=True)
os.killpg(0, signal.SIGKILL)
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """`vassals`, and beside it `site` with an app."""
    for name in ("vassals", "site"):
        (tmp_path / name).mkdir()
    (tmp_path / "site" / "app.py").write_text(APP + REPORT)
    return tmp_path


def facts(site: Path, text: str) -> Any:
    """What the app sees when it is imported, started as the daemon starts it."""
    text = text.replace("SITE", str(site / "site"))
    ini = site / "vassals" / f"{DOMAIN}.ini"
    ini.write_text(f"[uwsgi]\n{text}\n")
    words = argv(str(UWSGI), spec(text), Copy(str(ini)))
    command = [word.replace("fd://3", str(site / "s")) for word in words]
    done = subprocess.run(
        command, cwd=ini.parent, stdin=subprocess.DEVNULL, capture_output=True,
        timeout=PATIENCE_SECONDS, text=True, check=False, start_new_session=True,
    )  # fmt: skip
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("{")]
    return json.loads(line)


@pytest.mark.parametrize(
    "text",
    [
        "file = SITE/app.py", "pythonpath = SITE\nmodule = app", "wsgi-file = ../site/app.py",
        "file = SITE/app.py\nenable-threads = true", "file = SITE/app.py\nlazy-apps = true",
        "file = SITE/app.py\nimport = json",
    ],
)  # fmt: skip
def test_the_folder_of_inis_is_not_listed(site: Path, text: str) -> None:
    seen = facts(site, text)
    assert seen["folder"] == str(site / "vassals")
    assert seen["kinds"] == ["GlancingFinder"] * 2
    assert seen["listed"] == [False, False]


def test_a_module_beside_the_inis_is_found(site: Path) -> None:
    (site / "vassals" / "beside.py").write_text("answer = 42\n")
    (site / "vassals" / "package").mkdir()
    (site / "vassals" / "package" / "part.py").write_text("from beside import answer\n")
    (site / "vassals" / "wsgi.py").write_text(
        APP + "import package.part\nfacts['answer'] = package.part.answer\n" + REPORT
    )
    assert facts(site, "module = wsgi")["answer"] == 42


@pytest.mark.parametrize("text", ["chdir = SITE\nmodule = app", "chdir = ../site\nfile = app.py"])
def test_an_app_with_a_folder_of_its_own_is_left_alone(site: Path, text: str) -> None:
    seen = facts(site, text)
    assert seen["folder"] == str(site / "site")
    assert seen["kinds"] == ["FileFinder"] * 2


def test_its_code_is_compiled_once(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """uWSGI compiles the file that `import` names at each start."""
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(site / "cache"))
    facts(site, "file = SITE/app.py")
    [compiled] = (site / "cache").rglob("before_app.*.pyc")
    before = compiled.stat()
    facts(site, "file = SITE/app.py")
    after = compiled.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert not [*(site / "cache").rglob("inside.*.pyc")]
