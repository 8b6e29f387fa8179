"""Runs in an app that was forked from a base, before the app is imported, by uWSGI's option
`import`.

uWSGI has read the ini meanwhile, and has put the variables of its `env` into the environment. In a
program uwsgi it does so before Python starts. emperord does not import this file.
"""

import ctypes
import locale
import multiprocessing.process
import os
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


noted = vars(os.environ)["_data"]
noted.clear()
noted.update(variables())
time.tzset()
vars(multiprocessing.process)["ORIGINAL_DIR"] = os.getcwd()
with suppress(locale.Error):  # there is no such locale
    locale.setlocale(locale.LC_CTYPE, "")
