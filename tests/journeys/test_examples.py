"""The inis of docs/frameworks.md and docs/from-passenger.md, which docs/examples/inis has as files:
each serves an app that is laid out as its page says."""

import shutil
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.backend import Backend
from tests.cli.program import finished
from tests.virtualenv import make_virtualenv

ROOT = Path(__file__).parents[2]
INIS = ROOT / "docs" / "examples" / "inis"
PACKAGES = (
    "asgiref", "blinker", "click", "django", "flask", "itsdangerous", "jinja2", "markupsafe",
    "sqlparse", "werkzeug",
)  # fmt: skip
DJANGO = """\
from django.http import HttpResponse
from django.urls import path
ALLOWED_HOSTS = [".example.com"]
ROOT_URLCONF = "shop.settings"
SECRET_KEY = "of a test"
urlpatterns = [path("", lambda request: HttpResponse(f"Django for {request.get_host()}"))]
"""
DJANGO_WSGI = """\
import os
from django.core.wsgi import get_wsgi_application
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
application = get_wsgi_application()
"""
FLASK = """\
from flask import Flask, request
def create_app():
    app = Flask(__name__)
    app.get("/")(lambda: f"Flask for {request.host}")
    return app
app = create_app()
"""
PASSENGER = """\
import os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"the stage is {os.environ['STAGE']}".encode()]
"""
# The part of web2py that its own handler needs.
GLUON = """\
def wsgibase(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"web2py"]
"""
WEB2PY = """\
import os, sys
path = os.path.dirname(os.path.abspath(__file__))
os.chdir(path)
if not os.path.isdir("applications"):
    raise RuntimeError("Running from the wrong folder")
sys.path = [path] + [p for p in sys.path if not p == path]
import gluon.main
application = gluon.main.wsgibase
"""


@dataclass(frozen=True, slots=True)
class Example:
    """An ini, the files below /srv that its page describes, and a part of the reply for a path."""

    host: str
    page: str
    files: Mapping[str, str]
    replies: Mapping[str, str] = field(default_factory=dict)


EXAMPLES = (
    Example(
        "django.example.com", "frameworks.md",
        {
            "django.example.com/shop/__init__.py": "",
            "django.example.com/shop/settings.py": DJANGO,
            "django.example.com/shop/wsgi.py": DJANGO_WSGI,
            "django.example.com/static/a.css": "body {}",
        },
        {"/": "Django for django.example.com", "/static/a.css": "body {}"},
    ),
    Example(
        "flask.example.com", "frameworks.md",
        {"flask.example.com/shop.py": FLASK},
        {"/": "Flask for flask.example.com"},
    ),
    Example(
        "factory.example.com", "frameworks.md",
        {"factory.example.com/shop.py": FLASK},
        {"/": "Flask for factory.example.com"},
    ),
    Example(
        "web2py.example.com", "frameworks.md",
        {
            "web2py/applications/welcome": "",
            "web2py/gluon/__init__.py": "",
            "web2py/gluon/main.py": GLUON,
            "web2py/wsgihandler.py": WEB2PY,
        },
        {"/": "web2py"},
    ),
    Example(
        "passenger.example.com", "from-passenger.md",
        {
            "passenger.example.com/passenger_wsgi.py": PASSENGER,
            "passenger.example.com/public/a.css": "body {}",
        },
        {"/": "the stage is production", "/a.css": "body {}"},
    ),
)  # fmt: skip


@pytest.fixture
def virtualenv(folder: Path) -> Path:
    """A virtualenv with both frameworks, for all examples."""
    home = folder / "venv"
    packages = make_virtualenv(home)
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__", "tests", "*.po", "*.mo")
        shutil.copytree(Path(sysconfig.get_path("purelib"), package), packages / package,
                        ignore=ignored)  # fmt: skip
    return home


def lay_out(example: Example, srv: Path, virtualenv: Path) -> None:
    """Make the files of an example, with a link to the virtualenv where its ini names one."""
    for name, text in example.files.items():
        path = srv / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if (srv / example.host).is_dir():
        (srv / example.host / "venv").symlink_to(virtualenv)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.host)
def test_a_page_shows_the_ini_as_its_file_is(example: Example) -> None:
    text = (INIS / f"{example.host}.ini").read_text()
    assert f"```ini\n{text}```\n" in (ROOT / "docs" / example.page).read_text()


def test_each_ini_has_its_example() -> None:
    assert {path.stem for path in INIS.iterdir()} == {example.host for example in EXAMPLES}


def test_the_inis_of_the_pages_serve(
    start: Callable[..., Backend], folder: Path, virtualenv: Path
) -> None:
    backend = start()
    for example in EXAMPLES:
        lay_out(example, folder / "srv", virtualenv)
        text = (INIS / f"{example.host}.ini").read_text()
        text = text.replace("/srv/", f"{folder}/srv/").replace("uid = shop", "uid = nobody")
        backend.drop(example.host, text)
        backend.until(example.host, "parked")
        judged = finished(backend.run_dir, "check", str(backend.vassals / f"{example.host}.ini"))
        assert (judged.returncode, "warning" in judged.stdout) == (0, False), judged.stdout
        for path, shown in example.replies.items():
            reply = backend.get(example.host, path)
            assert (reply.status, shown in reply.text) == (200, True), reply.text
