"""Changes paths and ports in copies of the shipped files.

The demo and the tests run the shipped files, not separate files that could become outdated. Only
the paths and ports of a production machine are replaced.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path


def rewrite(files: Iterable[Path], replaced: Mapping[str, str]) -> None:
    """Replace in `files`: `replaced` maps regular expressions to their replacements.

    Raises LookupError when a pattern matches in none of the files.
    """
    unused = set(replaced)
    for file in files:
        text = file.read_text()
        for pattern, by in replaced.items():
            text, times = re.subn(pattern, by, text)
            if times:
                unused.discard(pattern)
        file.write_text(text)
    if unused:
        raise LookupError(f"not in the shipped files: {', '.join(sorted(unused))}")


def listeners(addresses: Sequence[str], http: int, https: int) -> dict[str, str]:
    """What `rewrite` replaces so that an nginx listens on these ports of `addresses`: an IPv4
    address, and perhaps an IPv6 address in brackets."""
    address, *ipv6 = addresses
    return {
        r"\blisten 80\b": f"listen {address}:{http}",
        r"\blisten 443\b": f"listen {address}:{https}",
    } | (
        {
            r"\blisten \[::\]:80\b": f"listen {ipv6[0]}:{http}",
            r"\blisten \[::\]:443\b": f"listen {ipv6[0]}:{https}",
        }
        if ipv6
        else {r"(?m)^ *listen \[::\].*\n": ""}
    )
