"""What the modules of a base have Python do when it ends, noted in a process of its own."""

import subprocess
import sys
from pathlib import Path

NOTED = """
import sys
from emperor.bases.inside.exits import Exits
from emperor.bases.inside.needs import Needs
sys.path.insert(0, sys.argv[1])
exits = Exits(Needs())
exits.begin()
import asked
exits.end()
exits.add(sys.argv[2:])
asked.after()
"""


def printed_at_exit(folder: Path, code: str, *given: str) -> str:
    """What an app prints at its exit that gets these modules from a base, which has imported the
    module `asked` with that code."""
    (folder / "asked.py").write_text(code)
    command = [sys.executable, "-c", NOTED, str(folder), *given]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


ASKED = """
import atexit
atexit.register(print, "kept")
def after(): pass
"""
TAKEN_BACK = """
import atexit
def once(): print("once")
atexit.register(once)
atexit.unregister(once)
atexit.register(print, "kept")
def after(): pass
"""
TAKES_BACK_LATER = """
from atexit import register, unregister
def once(): print("once")
register(once)
def after(): unregister(once)
"""


def test_an_app_does_what_its_module_asks_for(tmp_path: Path) -> None:
    assert printed_at_exit(tmp_path, ASKED, "asked") == "kept\n"
    assert printed_at_exit(tmp_path, ASKED) == ""


def test_what_a_module_takes_back_is_not_done(tmp_path: Path) -> None:
    assert printed_at_exit(tmp_path, TAKEN_BACK, "asked") == "kept\n"


def test_an_app_can_take_back_what_its_module_asks_for(tmp_path: Path) -> None:
    assert printed_at_exit(tmp_path, TAKES_BACK_LATER, "asked") == ""
