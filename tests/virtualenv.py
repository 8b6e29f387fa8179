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
