"""The process as such: the command and variables that others see, and the uWSGI in it."""

import ctypes
import gc
import importlib.machinery
import importlib.util
import os
import struct
import sys
from collections.abc import Callable
from typing import Any, NoReturn

# linux/prctl.h
PR_SET_NAME = 15
PR_SET_MM, PR_SET_MM_MAP = 35, 14

# struct prctl_mm_map of linux/prctl.h: the fields of /proc/self/stat that it is made of, counted
# from the state, and where the end of the heap, the command and the variables stand in it.
_LAYOUT = (23, 24, 42, 43, 44, 44, 25, 45, 46, 47, 48)
_BRK, _ARGUMENTS, _VARIABLES = 5, 7, 9

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.sbrk.restype = ctypes.c_void_p


def _memory_layout() -> list[int]:
    """Where the kernel has what of this process, for struct prctl_mm_map."""
    with open("/proc/self/stat", "rb") as stat:
        fields = stat.read().rpartition(b")")[2].split()
    return [int(fields[field]) for field in _LAYOUT]


class Unfit(Exception):
    """Why the app cannot be forked; uWSGI is run as a program instead."""


class Host:
    """The process as such: its command and variables, and the uWSGI in it. `pyuwsgi` is the path of
    the module."""

    def __init__(self, pyuwsgi: str) -> None:
        self._pyuwsgi = pyuwsgi
        # The home that Python is set up for, if any, and whether its packages are unchanged.
        self.home = ""
        self.is_fresh: Callable[[], bool] = lambda: True
        self._kept: list[ctypes.Array[Any]] = []
        self._layout: list[int] = []

    def rename(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        """Have top(1) show that name, and ps(1) that command and these variables. Without
        CONFIG_CHECKPOINT_RESTORE they show those of the base."""
        LIBC.prctl(PR_SET_NAME, os.fsencode(name), 0, 0, 0)
        variables = (f"{key}={value}" for key, value in environment.items())
        # A fork has that of its base, but for the end of its heap.
        self._layout = self._layout or _memory_layout()
        layout = [*self._layout]
        layout[_BRK] = LIBC.sbrk(0)
        for start, words in ((_ARGUMENTS, command), (_VARIABLES, variables)):
            text = b"".join(os.fsencode(word) + b"\0" for word in words)
            self._kept.append(memory := ctypes.create_string_buffer(text, len(text)))
            layout[start] = ctypes.addressof(memory)
            layout[start + 1] = layout[start] + len(text)
        packed = struct.pack("11QQIi", *layout, 0, 0, -1)
        LIBC.prctl(PR_SET_MM, PR_SET_MM_MAP, packed, ctypes.c_ulong(len(packed)), 0)

    def become(self, command: list[str], environment: dict[str, str]) -> None:
        """Have Python and uWSGI take this for their command, which uWSGI runs again at a reload,
        and these for their variables. Raises Unfit."""
        os.environ.clear()
        os.environ.update(environment)
        count, words = ctypes.c_int(), ctypes.POINTER(ctypes.c_void_p)()
        ctypes.pythonapi.Py_GetArgcArgv(ctypes.byref(count), ctypes.byref(words))
        if len(command) >= count.value:
            raise Unfit("its command is too long")
        # uWSGI ends the command at the first empty word. One piece of memory holds all words: to
        # make one takes 3 µs.
        text = ctypes.create_unicode_buffer("\0".join((*command, "")))
        self._kept.append(text)
        start, size = ctypes.addressof(text), ctypes.sizeof(ctypes.c_wchar)
        for index in range(count.value):
            words[index] = start
            if index < len(command):
                start += (len(command[index]) + 1) * size

    def run(self, arguments: list[str]) -> NoReturn:
        """Be uWSGI. The folder of the module is emperord's, and not for apps."""
        loader = importlib.machinery.ExtensionFileLoader("pyuwsgi", self._pyuwsgi)
        spec = importlib.util.spec_from_file_location("pyuwsgi", self._pyuwsgi, loader=loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
        sys.modules.pop("pyuwsgi", None)
        gc.enable()
        module.run(arguments)
        os._exit(1)
