"""Which Python an app runs with, and which packages it sees."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import pytest

from emperor.uwsgi.environment import PATH
from emperor.uwsgi.pythons import OWN_VERSION
from tests.backend import APPS, BIN, Backend
from tests.eventually import eventually

SYSTEM = "/usr/bin/python3"
YAML = "/usr/lib/python3/dist-packages/yaml/__init__.py"
NOBODY = 65534
ROOT = Path(__file__).parents[2]


def tell(backend: Backend, module: str = "sys", host: str = "a.example") -> Any:
    """What the app of tests/apps/importer.py tells."""
    reply = backend.get(host, f"/?{module}")
    assert reply.status == 200, reply.text
    return json.loads(reply.text)


def system_path() -> list[str]:
    """Where the system's Python looks for modules that are not beside the program."""
    program = "import json, sys; print(json.dumps(sys.path[1:]))"
    printed = subprocess.run([SYSTEM, "-c", program], check=True, capture_output=True, env={})
    path: list[str] = json.loads(printed.stdout)
    return path


def environment(folder: Path, name: str) -> Path:
    """A virtual environment that has nothing but a module `only_there`."""
    venv = folder / name
    subprocess.run([SYSTEM, "-m", "venv", "--without-pip", venv], check=True)
    (package,) = venv.glob("lib/python*/site-packages")
    (package / "only_there.py").touch()
    return venv


def with_uwsgi(venv: Path) -> Path:
    """The path of a uWSGI in that environment."""
    return Path(shutil.copy(BIN / "uwsgi", venv / "bin"))


def launched_with(variables: Mapping[str, str]) -> Any:
    """Launches the daemon with further environment variables."""

    def launch(command: Sequence[str], stderr: IO[bytes]) -> "subprocess.Popen[bytes]":
        env = {**os.environ, **variables}
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=stderr, env=env)

    return launch


def test_an_app_sees_what_the_systems_python_sees(backend: Backend) -> None:
    backend.add("a.example", "importer.py")
    assert tell(backend, "yaml")["module"] == YAML
    assert tell(backend)["path"][2:] == system_path()
    assert tell(backend)["prefix"] == "/usr"


def test_an_app_sees_no_package_of_emperord(backend: Backend) -> None:
    backend.add("a.example", "importer.py")
    for module in ("aiohttp", "emperor", "flask"):
        assert tell(backend, module)["module"] == f"No module named '{module}'"


def test_variables_of_the_daemon_lead_no_app_to_its_packages(
    start: Callable[..., Backend], folder: Path
) -> None:
    venv = environment(folder, "venv")
    (site,) = venv.glob("lib/python*/site-packages")
    places = {"PYTHONPATH": str(site), "VIRTUAL_ENV": str(venv), "PYTHONUSERBASE": str(venv)}
    path = f"{venv}/bin:{os.environ['PATH']}"
    backend = start(launched_with({**places, "PATH": path}))
    backend.add("a.example", "importer.py")
    told = tell(backend, "only_there")
    assert told["module"] == "No module named 'only_there'"
    assert not places.keys() & told["environment"].keys()
    assert told["environment"]["PATH"] == PATH


def test_the_virtualenv_of_the_page_is_that_of_the_app(backend: Backend, folder: Path) -> None:
    page = (ROOT / "docs" / "pythons.md").read_text()
    commands, ini = re.findall(r"(?ms)^```(?:sh|ini)\n(.*?)^```", page)[:2]
    site = folder / "www.example.com"
    site.mkdir()
    shutil.copy(APPS / "importer.py", site / "application.py")
    make, install = commands.replace("/srv", str(folder)).splitlines()
    # Without pip, which would ask the network.
    subprocess.run([*make.split(), "--without-pip"], check=True)
    assert install.startswith(f"{site}/venv/bin/pip install ")
    (packages,) = site.glob("venv/lib/python*/site-packages")
    (packages / "only_there.py").touch()
    backend.drop("www.example.com", ini.replace("/srv", str(folder)))
    backend.until("www.example.com", "parked")
    assert tell(backend, "only_there", "www.example.com")["prefix"] == str(site / "venv")
    assert tell(backend, "yaml", "www.example.com")["module"] == "No module named 'yaml'"


@pytest.mark.parametrize("option", ["home", "virtualenv", "venv", "pyhome"])
def test_an_inis_own_virtualenv_wins(option: str, backend: Backend, folder: Path) -> None:
    venv = environment(folder, "venv")
    backend.add("a.example", "importer.py", **{option: str(venv)})
    told = tell(backend, "only_there")
    assert told["module"].endswith("/only_there.py")
    assert told["prefix"] == str(venv)
    assert tell(backend, "yaml")["module"] == "No module named 'yaml'"


def test_an_ini_may_set_pythonhome_or_pythonpath(backend: Backend, folder: Path) -> None:
    (folder / "there").mkdir()
    (folder / "there" / "only_there.py").touch()
    backend.add("a.example", "importer.py", env=f"PYTHONPATH={folder}/there")
    assert tell(backend, "only_there")["module"] == f"{folder}/there/only_there.py"
    (folder / "lib").symlink_to("/usr/lib")
    backend.add("b.example", "importer.py", env=f"PYTHONHOME={folder}")
    assert tell(backend, host="b.example")["prefix"] == str(folder)


def test_a_program_name_in_the_ini_chooses_the_environment(backend: Backend, folder: Path) -> None:
    venv = environment(folder, "venv")
    backend.add("a.example", "importer.py", py_programname=f"{venv}/bin/python")
    assert tell(backend, "only_there")["prefix"] == str(venv)


def test_python_home_is_for_apps_that_name_none(
    start: Callable[..., Backend], folder: Path
) -> None:
    common, own = environment(folder, "common"), environment(folder, "own")
    backend = start(python_home=str(common))
    backend.add("a.example", "importer.py")
    backend.add("b.example", "importer.py", virtualenv=str(own))
    backend.drop(
        "c.example", backend.ini("c.example", "importer.py") + f"[emperor]\npython-home = {own}\n"
    )
    backend.until("c.example", "parked")
    prefixes = [tell(backend, host=f"{name}.example")["prefix"] for name in "abc"]
    assert prefixes == [str(common), str(own), str(own)]


def test_an_ini_chooses_one_of_the_pythons_by_its_name(
    start: Callable[..., Backend], folder: Path
) -> None:
    other = environment(folder, "other")
    backend = start(pythons=f"3.x:{with_uwsgi(other)}")
    for domain, python in (("a.example", "3.x"), ("b.example", OWN_VERSION)):
        ini = backend.ini(domain, "importer.py") + f"[emperor]\npython = {python}\n"
        # uWSGI must resolve the ini, which it does by the same binary.
        backend.drop(domain, ini.replace("[uwsgi]", "[uwsgi]\nset = x=1"))
        os.chown(backend.vassals / f"{domain}.ini", NOBODY, NOBODY)
        backend.until(domain, "parked")
    assert tell(backend, "only_there")["prefix"] == str(other)
    assert tell(backend, host="b.example")["prefix"] == "/usr"


def test_a_listed_python_that_is_not_there_is_refused(
    start: Callable[..., Backend], folder: Path
) -> None:
    backend = start(pythons=f"3.x:{folder}/uwsgi")
    backend.expect("there is no uWSGI at")
    backend.drop("a.example", backend.ini("a.example", "importer.py") + "[emperor]\npython = 3.x\n")
    (refusal,) = eventually(lambda: backend.call("GET", "/v1/status")[1]["refused"])
    assert f"there is no uWSGI at {folder}/uwsgi" in refusal["error"]
    shutil.copy(BIN / "uwsgi", folder)
    backend.call("POST", "/v1/rescan")
    backend.until("a.example", "parked")
    assert tell(backend)["prefix"] == "/usr"


def test_a_python_that_is_not_listed_is_refused_with_the_names(
    start: Callable[..., Backend],
) -> None:
    backend = start(pythons="3.x:/opt/x/bin/uwsgi")
    backend.expect("there is no Python '3.9'")
    backend.drop("a.example", backend.ini("a.example") + "[emperor]\npython = 3.9\n")
    (refusal,) = eventually(lambda: backend.call("GET", "/v1/status")[1]["refused"])
    assert f"there is no Python '3.9': there are {OWN_VERSION}, 3.x" in refusal["error"]


def test_root_names_a_binary_and_a_tenant_cannot(backend: Backend, folder: Path) -> None:
    other = environment(folder, "other")
    text = f"[emperor]\nuwsgi-binary = {with_uwsgi(other)}\n"
    backend.drop("a.example", backend.ini("a.example", "importer.py") + text)
    backend.until("a.example", "parked")
    assert tell(backend)["prefix"] == str(other)
    backend.expect("uwsgi-binary may stand in an ini of root's alone")
    draft = folder / "draft"
    draft.write_text(backend.ini("b.example", "importer.py") + text)
    os.chown(draft, NOBODY, NOBODY)
    draft.rename(backend.vassals / "b.example.ini")
    (refusal,) = eventually(lambda: backend.call("GET", "/v1/status")[1]["refused"])
    assert "root's alone" in refusal["error"]


def test_debians_uwsgi_serves_an_ini_that_loads_its_python(start: Callable[..., Backend]) -> None:
    backend = start(uwsgi_binary="/usr/bin/uwsgi-core", python_home="/usr")
    # The file is an option of the plugin, which uWSGI does not know before it has loaded that.
    backend.drop("a.example", backend.ini("a.example", "importer.py").replace(
        "[uwsgi]", "[uwsgi]\nplugins = python3"
    ))  # fmt: skip
    backend.until("a.example", "parked")
    assert tell(backend, "yaml")["module"] == YAML


def test_our_tests_run_in_another_environment_than_the_apps() -> None:
    assert sys.prefix != sys.base_prefix
