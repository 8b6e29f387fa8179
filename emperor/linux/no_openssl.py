"""Imports modules without OpenSSL, which asyncio, hashlib and aiohttp load at once: 5 MB and a
tenth of the time of all imports, in a daemon that speaks to nobody over TLS.

Each of them is made for a Python without OpenSSL. hashlib then has Python's own hashes.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_OPENSSL = ("ssl", "_ssl", "_hashlib")
# They have no HTTPS without OpenSSL. prometheus-client, which is imported later, needs it.
_LESS_WITHOUT = ("http.client", "urllib.request")


@contextmanager
def no_openssl() -> Iterator[None]:
    """Hides OpenSSL from what the block imports. Whoever imports it later gets it, and the modules
    of HTTP with HTTPS."""
    absent = [name for name in _OPENSSL if name not in sys.modules]
    before = set(sys.modules)
    # This has an import statement raise ModuleNotFoundError.
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in (*absent, *_LESS_WITHOUT):
            if name not in before:
                sys.modules.pop(name, None)
