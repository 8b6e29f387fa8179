"""Virtual environments without a package, of the Python that the tests run with."""

import os
import subprocess
import sys
from pathlib import Path


def make_virtualenv(home: Path) -> Path:
    """Make one there. Returns its folder of packages."""
    python = os.path.realpath(sys.executable)
    subprocess.run([python, "-m", "venv", "--without-pip", home], check=True)
    [packages] = home.glob("lib/python3*/site-packages")
    return packages


def add_package(packages: Path, name: str, text: str) -> None:
    """Add a package of so many modules that a base of this virtual environment is worth it."""
    parts = [f"part{number}" for number in range(10)]
    folder = packages / name
    folder.mkdir()
    for part in parts:
        (folder / f"{part}.py").write_text("")
    (folder / "__init__.py").write_text(f"from {name} import {', '.join(parts)}\n{text}")
