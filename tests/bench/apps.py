"""The apps that are measured: those of docs/examples, and the tests' for what those cannot do."""

import shutil
from pathlib import Path

from docs.examples.backend import SHIPPED
from tests.backend import APPS

EXAMPLES = SHIPPED.parent / "docs" / "examples" / "apps"
# By what a table calls them.
FRAMEWORKS = {"trivial": "welcome", "Flask": "flask", "Django": "django"}
TELLING = APPS / "plain.py"
BROKEN = APPS / "broken.py"


def copy_apps(folder: Path) -> dict[str, Path]:
    """Copies below `folder` by the names in FRAMEWORKS; Django's wants a secret of its own."""
    place = folder / "apps"
    shutil.copytree(EXAMPLES, place, ignore=shutil.ignore_patterns("__pycache__", "data"))
    (place / "django" / "data").mkdir()
    (place / "django" / "data" / "secret").write_text("of no use: nobody logs in")
    return {name: place / app / "application.py" for name, app in FRAMEWORKS.items()}


def ini(app: Path, *lines: str) -> str:
    """What a rival runs: the options that emperord adds to an ini (emperor/uwsgi/command.py)."""
    options = (
        f"file = {app}", "idle = 93600", "need-app = true", "die-on-idle = true", "master = true",
        "no-orphans = true",
    )  # fmt: skip
    return "\n".join(("[uwsgi]", *options, *lines, ""))
