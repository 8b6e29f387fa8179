"""The measured apps: the apps of docs/examples, and two apps of the tests."""

import shutil
import sys
import sysconfig
from pathlib import Path

from docs.examples.backend import SHIPPED
from tests.backend import APPS
from tests.virtualenv import make_virtualenv

EXAMPLES = SHIPPED.parent / "docs" / "examples" / "apps"
# The folders of the apps, by the names that the tables use.
FRAMEWORKS = {"trivial": "welcome", "Flask": "flask", "Django": "django"}
TELLING = APPS / "plain.py"
BROKEN = APPS / "broken.py"
HERE = Path(sys.prefix)
_OF_DEVELOPERS = ("__editable__", "a1_coverage")


def copy_apps(folder: Path) -> dict[str, Path]:
    """Copy the apps below `folder`. Returns the application.py by the names in FRAMEWORKS."""
    place = folder / "apps"
    shutil.copytree(EXAMPLES, place, ignore=shutil.ignore_patterns("__pycache__", "data"))
    (place / "django" / "data").mkdir()
    (place / "django" / "data" / "secret").write_text("not secret: there are no users")
    return {name: place / app / "application.py" for name, app in FRAMEWORKS.items()}


def virtualenv(folder: Path) -> Path:
    """A virtual environment with the packages of this one. It has not what runs here at each start
    of Python: the hooks of coverage and of an emperord that is worked on."""
    home = folder / "virtualenv"
    packages = make_virtualenv(home)
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.startswith(_OF_DEVELOPERS):
            (packages / path.name).symlink_to(path)
    return home


def ini(app: Path, *lines: str, idle: int = 93_600, home: Path = HERE) -> str:
    """An ini for a rival, with the options that emperord adds itself (emperor/uwsgi/command.py)."""
    options = (
        f"file = {app}", f"virtualenv = {home}", f"idle = {idle}", "need-app = true",
        "die-on-idle = true", "master = true", "no-orphans = true", "buffer-size = 65535",
        "max-vars = 600", "post-buffering = 65536",
    )  # fmt: skip
    return "\n".join(("[uwsgi]", *options, *lines, ""))
