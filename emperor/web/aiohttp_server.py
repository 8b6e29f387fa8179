"""Imports aiohttp's server without its client, which the package loads too.

The daemon does not use the client. Its import takes a fifth of the time of all imports and 2 MB,
and loads all certificates of the system. A daemon that takes over answers nobody meanwhile.

The lists of callbacks (frozenlist) have Python's own code here: that in C++ needs 1.1 MB for the
library of C++, and the two lists that each answer looks at are empty.

aiohttp has a table of the types of files. The system names a thousand more than Python, and the
daemon, which sends no files, needs none of them: 0.4 MB.
"""

import mimetypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from typing import TYPE_CHECKING

from emperor.linux.environ import variables_set
from emperor.linux.no_certificates import no_certificates

_PACKAGE = "aiohttp"
_WEB, _ERRORS = "aiohttp.web", "aiohttp.http_exceptions"
_PYTHON_LISTS = {"FROZENLIST_NO_EXTENSIONS": "1"}


def _load() -> None:
    """Import the server, alone where that can be."""
    before = set(sys.modules)
    try:
        if _PACKAGE not in sys.modules:
            with _package_that_did_not_run():
                _import_both()
    except (ImportError, AttributeError):
        # A version of aiohttp whose server needs more of the package. What was imported is partial.
        for name in set(sys.modules) - before:
            if name.startswith(f"{_PACKAGE}."):
                del sys.modules[name]
    with no_certificates():
        _import_both()


def _import_both() -> None:
    import_module(_WEB)
    import_module(_ERRORS)


@contextmanager
def _package_that_did_not_run() -> Iterator[None]:
    """Let the block import modules of the package without those that its __init__ imports. Whoever
    imports the package after that gets all of it."""
    spec = find_spec(_PACKAGE)
    if spec is None:
        raise ModuleNotFoundError(_PACKAGE)
    package = module_from_spec(spec)
    # A name of the server that nginx does not pass on.
    package.__dict__["__version__"] = "server"
    sys.modules[_PACKAGE] = package
    try:
        yield
    finally:
        del sys.modules[_PACKAGE]


if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.http_exceptions import HttpProcessingError
else:
    mimetypes.knownfiles.clear()
    with variables_set(_PYTHON_LISTS):
        _load()
    # An import statement would import the package for it.
    web, HttpProcessingError = sys.modules[_WEB], sys.modules[_ERRORS].HttpProcessingError

__all__ = ["HttpProcessingError", "web"]
