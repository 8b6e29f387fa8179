"""What is freed between things that stay goes back to the kernel."""

import subprocess
import sys

_SCRIPT = """
from pathlib import Path
from emperor.linux.malloc_trim import trim_heap

def pages():
    return int(Path("/proc/self/statm").read_text().split()[1])

texts = [bytes(9000) for _ in range(10_000)]
del texts[:-1:2]  # the last one stays, so the heap does not end before it
held = pages()
trim_heap()
print(held - pages())
"""


def test_pages_between_what_stays_are_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, check=True)
    # Each of 5,000 had one whole page at least.
    assert int(done.stdout) > 4_000
