"""Imports aiohttp for its server.

aiohttp loads all certificates of the system for its client, which the daemon does not use. That
takes 40 ms, in which a daemon that takes over answers nobody.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

# The variables with which OpenSSL is told another place of the certificates.
_PLACES = {"SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull}


@contextmanager
def _without_certificates() -> Iterator[None]:
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


with _without_certificates():
    from aiohttp import web

__all__ = ["web"]
