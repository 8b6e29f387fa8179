"""Imports the modules of a base."""

import importlib
import sys
from collections.abc import Iterable

# They note the folders of this Python, and not of the app's virtual environment.
_OF_THIS_PYTHON = ("sysconfig", "_sysconfig")


def preload(names: Iterable[str]) -> dict[str, str]:
    """Import these modules. Returns those that failed, each with the reason."""
    left_out = {}
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:
            left_out[name] = f"{type(error).__name__}: {error}"
    for module in [name for name in sys.modules if name.startswith(_OF_THIS_PYTHON)]:
        del sys.modules[module]
    return left_out
