"""How Python is set up in a base, and in each app as uWSGI does it at its start."""

import builtins
import ctypes
import importlib.machinery
import logging
import multiprocessing
import os
import signal
import site
import sys
import time
import types

from emperor.bases.inside.host import Unfit

_IS_SINCE_3_14 = sys.version_info >= (3, 14)


def restore_python() -> None:
    """Leave Python as it is in a uWSGI that has not imported anything yet."""
    main_module = types.ModuleType("__main__")
    vars(main_module).update(__loader__=importlib.machinery.BuiltinImporter, __builtins__=builtins)
    if not _IS_SINCE_3_14:
        vars(main_module)["__annotations__"] = {}
    # multiprocessing has noted the earlier one.
    sys.modules["__main__"] = sys.modules["__mp_main__"] = main_module
    sys.path[:] = standard_path()
    sys.argv[:] = [""]
    sys.orig_argv[:] = []
    # `site` runs in each app.
    index = sys.flags.__match_args__.index("no_site")
    set_item = ctypes.pythonapi.PyStructSequence_SetItem
    set_item(ctypes.py_object(sys.flags), ctypes.c_ssize_t(index), ctypes.py_object(0))


def standard_path() -> list[str]:
    """The folders of the standard library, in Python's order."""
    library = os.path.dirname(os.__file__)
    zipped = f"python{sys.version_info[0]}{sys.version_info[1]}.zip"
    return [f"{os.path.dirname(library)}/{zipped}", library, f"{library}/lib-dynload"]


def ignore_signals() -> None:
    """Ignore what uWSGI ignores before Python starts."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def set_up_python(home: str, maker: str) -> None:
    """What Python does at its start in that home, which the program `maker` has made."""
    if home != sys.base_prefix:
        sys.prefix = sys.exec_prefix = home
        if _IS_SINCE_3_14:
            # Earlier ones of `site` compute it from pyvenv.cfg.
            site.PREFIXES[:] = [home, home]
    sys.executable = f"{home}/bin/python"
    vars(sys)["_base_executable"] = maker
    site.main()


def forget_the_base() -> None:
    """Make anew what modules have noted at their import. (after_ini does the rest.)"""
    is_integer = isinstance(vars(logging)["_startTime"], int)  # since Python 3.13
    vars(logging)["_startTime"] = time.time_ns() if is_integer else time.time()
    # By this key the processes of an app trust each other.
    multiprocessing.current_process().authkey = os.urandom(32)


def maker_of(home: str) -> str:
    """The program that has made the virtual environment `home`, or is that of the home itself.
    Raises Unfit unless it is of this very Python."""
    if home == sys.base_prefix:
        return f"{home}/bin/python"
    try:
        with open(f"{home}/pyvenv.cfg", encoding="utf-8", errors="replace") as file:
            pairs = [line.partition("=") for line in file]
    except OSError as error:
        raise Unfit(f"{home} is no virtual environment ({error.strerror})") from error
    said = {key.strip().lower(): value.strip() for key, _, value in pairs}
    made_by = said.get("home", "")
    if os.path.realpath(made_by) != os.path.realpath(f"{sys.base_prefix}/bin"):
        raise Unfit(f"{home} is a virtual environment of the Python in {made_by or 'nowhere'}")
    return said.get("executable", f"{made_by}/python")
