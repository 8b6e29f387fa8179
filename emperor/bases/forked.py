"""Runs in an app that was forked from a base, before all else of the app is imported, by uWSGI's
option `shared-import`.

uWSGI has read the ini meanwhile. It has put the variables of `env` into the environment, and the
folders of the app before those of the standard library. In a program uwsgi it does the first before
Python starts, and the second before the app imports anything. emperord does not import this file.
"""

import ctypes
import locale
import multiprocessing.process
import os
import sys
import time
from contextlib import suppress


def variables() -> dict[bytes, bytes]:
    """The environment of this process as environ(7) has it."""
    entries = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
    found: dict[bytes, bytes] = {}
    index = 0
    while entry := entries[index]:
        key, _, value = entry.partition(b"=")
        found.setdefault(key, value)
        index += 1
    return found


def own_modules() -> list[str]:
    """The names of modules that the base has imported, and that the app has under the same name in
    a folder that Python searches before."""
    library = os.path.dirname(os.__file__)
    folders = {os.path.realpath(entry or ".") for entry in sys.path[: sys.path.index(library)]}
    names = [name for name, module in sys.modules.items() if is_searched_for(name, module)]
    return [
        name for name in names
        if any(os.path.isfile(f"{folder}/{name}.py") or os.path.isdir(f"{folder}/{name}")
               for folder in folders)
    ]  # fmt: skip


def is_searched_for(name: str, module: object) -> bool:
    """Whether Python looks for a module in the folders, and has not done so before an app."""
    origin = getattr(getattr(module, "__spec__", None), "origin", None)
    return "." not in name and name != "encodings" and origin not in (None, "built-in", "frozen")


for own in own_modules():
    for name in [each for each in sys.modules if each == own or each.startswith(f"{own}.")]:
        del sys.modules[name]
noted = vars(os.environ)["_data"]
noted.clear()
noted.update(variables())
time.tzset()
vars(multiprocessing.process)["ORIGINAL_DIR"] = os.getcwd()
with suppress(locale.Error):  # there is no such locale
    locale.setlocale(locale.LC_CTYPE, "")
