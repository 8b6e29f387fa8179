"""Imports the modules of a base."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

# They note the folders of this Python, and not of the app's virtual environment.
OF_THIS_PYTHON = ("sysconfig", "_sysconfig")
# Its import sets variables, reads the .inputrc of root, and catches a signal. rlcompleter imports
# it, and pdb imports rlcompleter since Python 3.13.
_LINE_EDITOR, _COMPLETER = "readline", "rlcompleter"


@contextmanager
def no_lazy_imports() -> Iterator[None]:
    """What a module imports lazily (PEP 810, since Python 3.15) is imported at once: each app would
    have to do it otherwise."""
    set_filter = getattr(sys, "set_lazy_imports_filter", None)
    if set_filter is None:
        yield
        return
    set_filter(lambda *_: False)
    try:
        yield
    finally:
        set_filter(None)


def preload(names: Iterable[str]) -> dict[str, str]:
    """Import these modules. Returns those that failed, each with the reason."""
    left_out = {}
    vars(sys)["modules"][_LINE_EDITOR] = None  # an import fails
    with no_lazy_imports():
        for name in names:
            try:
                __import__(name)  # which `Needs` notes
            except Exception as error:
                left_out[name] = f"{type(error).__name__}: {error}"
    # Of modules that import each other, one that is named first may fail, and succeed by another.
    left_out = {name: why for name, why in left_out.items() if name not in sys.modules}
    del sys.modules[_LINE_EDITOR]
    sys.modules.pop(_COMPLETER, None)
    for module in [name for name in sys.modules if name.startswith(OF_THIS_PYTHON)]:
        del sys.modules[module]
    return left_out
