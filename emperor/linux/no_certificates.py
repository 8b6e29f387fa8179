"""Imports aiohttp without the certificates of the system, which its client loads at once: 1.6 MB,
and 30 ms and more. What asks over TLS has a context of its own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

# The variables with which OpenSSL is told another place of the certificates.
_PLACES = {"SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull}


@contextmanager
def no_certificates() -> Iterator[None]:
    """The system has none, for what the block imports."""
    before = {name: os.environ.get(name) for name in _PLACES}
    os.environ.update(_PLACES)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
