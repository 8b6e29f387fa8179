"""Imports aiohttp without the certificates of the system, which its client loads at once: 1.6 MB,
and 30 ms and more. What asks over TLS has a context of its own."""

import os
from contextlib import AbstractContextManager

from emperor.linux.environ import variables_set

# The variables with which OpenSSL is told another place of the certificates.
_PLACES = {"SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull}


def no_certificates() -> AbstractContextManager[None]:
    """The system has none, for what the block imports."""
    return variables_set(_PLACES)
