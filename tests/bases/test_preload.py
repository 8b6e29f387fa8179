"""What a base imports, and what it must not."""

import subprocess
import sys

from tests.roots import ROOT

PRELOAD = """
import ctypes, sys
from emperor.bases.inside.preload import preload
left_out = preload(["rlcompleter", "json.decoder", "no_such_module"])
libc = ctypes.CDLL(None)
libc.getenv.restype = ctypes.c_char_p
lines = libc.getenv(b"LINES")
loaded = [name for name in ("readline", "rlcompleter", "json.decoder") if name in sys.modules]
import rlcompleter
print(left_out, loaded, lines, rlcompleter._readline_available)
"""


LAZY = """
import sys
kept = []
sys.set_lazy_imports_filter = kept.append
from emperor.bases.inside.preload import preload
seen = []
sys.meta_path.insert(0, type("Notes", (), {"find_spec": lambda *_: seen.append(kept[-1])}))
preload(["no_such_module"])
print(seen[0]("one", "other", None), kept[-1], len(kept))
"""


def test_what_is_lazy_is_imported_at_once() -> None:
    """As Python 3.15 is asked for it. The tests run with an earlier one."""
    done = subprocess.run(
        [sys.executable, "-c", LAZY],
        cwd=ROOT, env={}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "False None 2\n"


def test_readline_is_left_to_each_app() -> None:
    """Its import sets LINES, reads the .inputrc of root, and catches SIGWINCH."""
    done = subprocess.run(
        [sys.executable, "-c", PRELOAD],
        cwd=ROOT, env={}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    missing = {"no_such_module": "ModuleNotFoundError: No module named 'no_such_module'"}
    assert done.stdout == f"{missing} ['json.decoder'] None True\n"
