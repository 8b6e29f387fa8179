"""The apps that are compared: those of docs/examples, and Wagtail's new project as a real one."""

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from tests.bench.apps import copy_apps
from tests.bench.peers.peer import USUAL_IDLE, Site

_LOCAL = """\
SECRET_KEY = "not secret: there are no users"
ALLOWED_HOSTS = ["*"]
STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
"""
_APPLICATION = """\
import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings.production"

from shop.wsgi import application
"""


def apps(folder: Path, real: bool = False) -> dict[str, Path]:
    """The files of the apps by their names, with byte code, as after their first start. `real`:
    with Wagtail, if it is installed, whose database takes half a minute to make."""
    found = copy_apps(folder)
    if real and find_spec("wagtail"):
        found["Wagtail"] = _wagtail(folder)
    for app in found.values():
        subprocess.run([sys.executable, "-m", "compileall", "-q", app.parent], check=True)
    return found


def sites(name: str, app: Path, count: int, idle: int = USUAL_IDLE) -> Sequence[Site]:
    """`count` sites with the same app."""
    return [Site(f"{name}{number}.localhost", app, idle) for number in range(count)]


def _wagtail(folder: Path) -> Path:
    """Wagtail's template of a project, with its database."""
    project = folder / "wagtail"
    project.mkdir()
    _run(Path(sys.executable).with_name("wagtail"), "start", "shop", project, cwd=folder)
    (project / "shop" / "settings" / "local.py").write_text(f"from .base import *\n{_LOCAL}")
    app = project / "application.py"
    app.write_text(_APPLICATION)
    settings = os.environ | {"DJANGO_SETTINGS_MODULE": "shop.settings.production"}
    _run(sys.executable, "manage.py", "migrate", cwd=project, env=settings)
    return app


def _run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> None:
    subprocess.run(command, cwd=cwd, env=env, check=True, capture_output=True)
