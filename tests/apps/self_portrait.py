"""Tells as JSON all that an app can see of its process: whatever may differ between an app that was
forked from a base and one that was started by exec. At /secret: what must never be alike."""

# ruff: noqa: E402
import sys

# Before this module imports any other. What Python has in itself is the same in any process; uWSGI
# names what emperord adds (`shared-import`) after its path.
LOADED = sorted(
    name for name, module in sys.modules.items()
    if getattr(getattr(module, "__spec__", None), "has_location", False)
    and not name.endswith("_emperor_bases_inside_forked")
)  # fmt: skip

import builtins
import ctypes
import gc
import json
import locale
import logging
import multiprocessing
import os
import random
import resource
import secrets
import signal
import site
import ssl
import sysconfig
import tempfile
import time
import uuid
from collections.abc import Iterable
from typing import Any

_OF_STATUS = frozenset({
    "Name", "Umask", "Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "Threads", "SigBlk", "SigIgn",
    "SigCgt", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb",
})  # fmt: skip
_PR_GET_DUMPABLE = 3
# uWSGI catches these before Python starts, and after it in a fork (docs/bases.md). What the kernel
# does with them is in SigCgt.
_OF_UWSGI = {signal.SIGFPE, signal.SIGSEGV}
_OF_SYS = (
    "_base_executable", "_xoptions", "argv", "base_exec_prefix", "base_prefix",
    "dont_write_bytecode", "exec_prefix", "executable", "flags", "hexversion", "orig_argv", "path",
    "platlibdir", "prefix", "pycache_prefix", "warnoptions",
)  # fmt: skip


def of_python() -> dict[str, Any]:
    """How Python was started, and as what."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return {name: repr(getattr(sys, name)) for name in _OF_SYS} | {
        "meta_path": [getattr(each, "__name__", type(each).__name__) for each in sys.meta_path],
        "path_hooks": [each.__name__ for each in sys.path_hooks],
        "loaded": LOADED,
        "main": sorted(vars(sys.modules["__main__"])),
        "streams": [(s.fileno(), s.encoding, s.errors, s.line_buffering) for s in streams],
        "encoding": sys.getfilesystemencoding() + sys.getfilesystemencodeerrors(),
        "limits": (sys.getrecursionlimit(), sys.getswitchinterval()),
        "gc": (gc.isenabled(), gc.get_threshold()),
        "site": (site.ENABLE_USER_SITE, site.getusersitepackages(), site.PREFIXES),
        "builtins": sorted(vars(builtins)),
        "locale": locale.setlocale(locale.LC_ALL),
        "paths": sysconfig.get_paths(),
        "started_in": multiprocessing.process.ORIGINAL_DIR,  # type: ignore[attr-defined]
        "zone": (time.tzname, time.timezone),
        "handlers": {
            each: repr(signal.getsignal(each)) for each in signal.valid_signals() - _OF_UWSGI
        },
    }


def of_process() -> dict[str, Any]:
    """What the kernel says of it."""
    with open("/proc/self/status", encoding="ascii") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    with open("/proc/self/oom_score_adj", encoding="ascii") as file:
        oom = file.read()
    limits = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    return {name: status.get(name) for name in sorted(_OF_STATUS)} | {
        "descriptors": sorted(map(_kind, os.listdir("/proc/self/fd"))),
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in limits},
        "dumpable": ctypes.CDLL(None).prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0),
        "folder": os.getcwd(),
        "nice": os.nice(0),
        "oom": oom,
        "leads": os.getsid(0) == os.getpgid(0) == os.getppid(),
        "callbacks": _callbacks(),
        "affinity": sorted(os.sched_getaffinity(0)),
    }


def _callbacks() -> list[int]:
    """What many callbacks of C return: libffi makes room for more of them several times."""
    made = [ctypes.CFUNCTYPE(ctypes.c_int)(lambda number=number: number) for number in range(2000)]
    return [each() for each in made]


def _kind(fd: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}").partition(":")[0]
    except OSError:  # the one that lists them
        return ""


def alike() -> dict[str, Any]:
    """What both kinds of app have in common."""
    own = ctypes.CDLL(None).getenv
    own.restype = ctypes.c_char_p
    return {
        "python": of_python(),
        "process": of_process(),
        "environment": {name: value for name, value in os.environ.items() if "SPAWN" not in name},
        "of_libc": {name: str(own(name.encode())) for name in os.environ if "SPAWN" not in name},
    }


def secret() -> dict[str, str]:
    """What nobody else may know or have, and what is new in each process."""
    return {
        "random": str(random.random()),
        "numbers": secrets.token_hex(),
        "tls": ssl.RAND_bytes(16).hex(),
        "uuid": str(uuid.uuid4()),
        "key": bytes(multiprocessing.current_process().authkey).hex(),
        "name": next(tempfile._get_candidate_names()),  # type: ignore[attr-defined]
        "began": str(vars(logging)["_startTime"]),
    }


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The one or the other."""
    start_response("200 OK", [("Content-Type", "application/json")])
    told = secret() if environ["PATH_INFO"] == "/secret" else alike()
    return [json.dumps(told).encode()]
