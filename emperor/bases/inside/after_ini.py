"""What follows in an app when uWSGI has read its ini.

uWSGI has put the variables of `env` into the environment. In a program uwsgi it does so before
Python starts.
"""

import ctypes
import locale
import os
import time
from contextlib import suppress
from multiprocessing import process


def after_ini() -> None:
    """Have Python know the environment, the zone and the folder as at its start."""
    noted = vars(os.environ)["_data"]
    noted.clear()
    noted.update(_variables())
    time.tzset()
    vars(process)["ORIGINAL_DIR"] = os.getcwd()
    with suppress(locale.Error):  # there is no such locale
        locale.setlocale(locale.LC_CTYPE, "")


def _variables() -> dict[bytes, bytes]:
    """The environment of this process as environ(7) has it."""
    entries = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
    found: dict[bytes, bytes] = {}
    index = 0
    while entry := entries[index]:
        key, _, value = entry.partition(b"=")
        found.setdefault(key, value)
        index += 1
    return found
