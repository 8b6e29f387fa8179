"""HTTP/2 in the nginx configuration of a balancer, as an nginx of a version has it.

The shipped file has the parameter `http2` of `listen`, which every nginx accepts. nginx 1.25.1 and
later warn of it; they have a directive instead, which earlier ones do not know.

    http2.py FILE    changes FILE for the nginx of this machine
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

_DIRECTIVE_SINCE = (1, 25, 1)


def nginx_version() -> tuple[int, ...]:
    """The version of this machine's nginx; () if it has none. Raises OSError."""
    # The PATH of a user on Debian does not have this folder.
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(nginx).exists():
        return ()
    printed = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=False).stderr
    found = re.search(r"nginx/([0-9.]+)", printed)
    return tuple(int(number) for number in found[1].split(".")) if found else ()


def http2(version: tuple[int, ...]) -> dict[str, str]:
    """What to replace in the shipped configuration of a balancer for an nginx of `version`: regular
    expressions and their replacements."""
    if version < _DIRECTIVE_SINCE:
        return {}
    return {r"(?m)(^ *listen .*) http2;": r"\1;", r"(?m)^http \{$": "http {\n    http2 on;"}


def adapt(file: Path, version: tuple[int, ...]) -> None:
    """Change the shipped configuration in `file` for an nginx of `version`. Raises OSError."""
    text = file.read_text()
    for pattern, by in http2(version).items():
        text = re.sub(pattern, by, text)
    file.write_text(text)


if __name__ == "__main__":
    adapt(Path(sys.argv[1]), nginx_version())
