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


def test_readline_is_left_to_each_app() -> None:
    """Its import sets LINES, reads the .inputrc of root, and catches SIGWINCH."""
    done = subprocess.run(
        [sys.executable, "-c", PRELOAD],
        cwd=ROOT, env={}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    missing = {"no_such_module": "ModuleNotFoundError: No module named 'no_such_module'"}
    assert done.stdout == f"{missing} ['json.decoder'] None True\n"
