"""Imports modules without the names that HTML has for characters (`&eacute;`), which html.unescape
alone uses: a table of 0.4 MB. The daemon writes HTML and reads none."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_TABLE = "html.entities"
_LESS_WITHOUT = ("html", _TABLE)


@contextmanager
def no_entities() -> Iterator[None]:
    """Hides the names of characters from what the block imports. Later imports get all of html."""
    if any(name in sys.modules for name in _LESS_WITHOUT):
        yield
        return
    table = ModuleType(_TABLE)
    table.__dict__["html5"] = {}
    sys.modules[_TABLE] = table
    try:
        yield
    finally:
        for name in _LESS_WITHOUT:
            sys.modules.pop(name, None)
