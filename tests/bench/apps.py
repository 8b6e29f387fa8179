"""The measured apps: the apps of docs/examples, and two apps of the tests."""

import shutil
import sys
from pathlib import Path

from docs.examples.backend import SHIPPED
from tests.backend import APPS

EXAMPLES = SHIPPED.parent / "docs" / "examples" / "apps"
# The folders of the apps, by the names that the tables use.
FRAMEWORKS = {"trivial": "welcome", "Flask": "flask", "Django": "django"}
TELLING = APPS / "plain.py"
BROKEN = APPS / "broken.py"


def copy_apps(folder: Path) -> dict[str, Path]:
    """Copy the apps below `folder`. Returns the application.py by the names in FRAMEWORKS."""
    place = folder / "apps"
    shutil.copytree(EXAMPLES, place, ignore=shutil.ignore_patterns("__pycache__", "data"))
    (place / "django" / "data").mkdir()
    (place / "django" / "data" / "secret").write_text("not secret: there are no users")
    return {name: place / app / "application.py" for name, app in FRAMEWORKS.items()}


def ini(app: Path, *lines: str, idle: int = 93_600) -> str:
    """An ini for a rival, with the options that emperord adds itself (emperor/uwsgi/command.py)."""
    options = (
        f"file = {app}", f"virtualenv = {sys.prefix}", f"idle = {idle}", "need-app = true",
        "die-on-idle = true", "master = true", "no-orphans = true", "buffer-size = 65535",
        "max-vars = 600", "post-buffering = 65536",
    )  # fmt: skip
    return "\n".join(("[uwsgi]", *options, *lines, ""))
