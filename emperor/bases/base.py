"""A base: a process that has imported modules, and from which apps are forked that need not import
them again.

emperord runs this file as a program, with the Python that its uWSGI was built for, and never
imports it. At each byte on its control socket it forks a spare process, which says hello on a
socket of its own, by which the kernel tells emperord its pid. The spare waits there for an order,
and then becomes the app: it takes the descriptors, the user and the environment of the app, sets up
Python as uWSGI does at its start, and calls uWSGI (the module pyuwsgi). What it finds it cannot do
is left to the program uwsgi, which it runs in its place.

A spare is forked twice, so that it is a child of emperord, which reaps orphans. A base has one
thread, and no descriptor but its socket. Python runs here without `site`, which runs code of the
administrator's or of a tenant's: that belongs into the app, as its user.
"""

import array
import builtins
import ctypes
import fcntl
import gc
import importlib
import importlib.machinery
import importlib.util
import json
import logging
import multiprocessing
import os
import pwd
import resource
import signal
import site
import socket
import struct
import sys
import time
import types
from contextlib import suppress
from typing import Any, NoReturn

CONTROL_FD = 3
_NAME = "emperord-base"
_MESSAGE_BYTES = 1 << 18
_REPORT_BYTES = 512
_NOT_ENTERED = 125
_ROOM_FOR_FDS = socket.CMSG_SPACE(64 * array.array("i").itemsize)

# linux/prctl.h, linux/capability.h
_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_CAPBSET_DROP = 24
_PR_SET_MM, _PR_SET_MM_MAP = 35, 14
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = "/proc/sys/kernel/cap_last_cap"

# Runs in each app.
_FORKED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "forked.py")

# struct prctl_mm_map of linux/prctl.h: the fields of /proc/self/stat that it is made of, counted
# from the state, and where the end of the heap, the command and the variables stand in it.
_LAYOUT = (23, 24, 42, 43, 44, 44, 25, 45, 46, 47, 48)
_BRK, _ARGUMENTS, _VARIABLES = 5, 7, 9

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.sbrk.restype = ctypes.c_void_p


class Unfit(Exception):
    """Why the app cannot be forked; uWSGI is run as a program instead."""


def main() -> NoReturn:
    """Import, and fork spares until emperord closes its end."""
    gc.disable()
    control = socket.socket(fileno=CONTROL_FD)
    control.set_inheritable(False)
    if not (data := control.recv(_MESSAGE_BYTES)):
        os._exit(0)
    wanted = json.loads(data)
    _protect_from_oom_killer(wanted["oom_score_adj"])
    # The module itself notes the command line when it is made, which is that of an app.
    ctypes.CDLL(wanted["pyuwsgi"])
    host = Host(wanted["pyuwsgi"])
    host.rename(_NAME, [f"{_NAME}: Python {sys.version_info[0]}.{sys.version_info[1]}"], {})
    restore_python()
    left_out = preload(wanted["modules"])
    # It notes the folders of this Python, and not of the app's virtual environment.
    for module in [name for name in sys.modules if name.lstrip("_").startswith("sysconfig")]:
        del sys.modules[module]
    gc.collect()
    gc.freeze()
    try:
        control.send(json.dumps({"modules": sorted(sys.modules), "left_out": left_out}).encode())
    except OSError:  # emperord has ended
        os._exit(0)
    while True:
        try:
            data, ancillary, _, _ = control.recvmsg(1, _ROOM_FOR_FDS)
        except ConnectionResetError:  # emperord has ended, with an answer unread
            os._exit(0)
        if not data:
            os._exit(0)
        [channel] = _descriptors(ancillary)
        with suppress(OSError):  # no process is left; the closed channel says so
            if (pid := os.fork()) == 0:
                os.close(control.detach())
                _fork_again(channel, host)
            os.waitpid(pid, 0)
        os.close(channel)


def _fork_again(channel: int, host: "Host") -> NoReturn:
    try:
        if os.fork() == 0:
            wait(socket.socket(fileno=channel), host)
    finally:
        os._exit(1)


class Host:
    """The process as such: its command and variables, and the uWSGI in it. `pyuwsgi` is the path of
    the module."""

    def __init__(self, pyuwsgi: str) -> None:
        self._pyuwsgi = pyuwsgi
        self._kept: list[ctypes.Array[Any]] = []

    def rename(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        """Have top(1) show that name, and ps(1) that command and these variables. Without
        CONFIG_CHECKPOINT_RESTORE they show those of the base."""
        _LIBC.prctl(_PR_SET_NAME, os.fsencode(name), 0, 0, 0)
        variables = (f"{key}={value}" for key, value in environment.items())
        with open("/proc/self/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
        layout = [int(fields[field]) for field in _LAYOUT]
        layout[_BRK] = _LIBC.sbrk(0)
        for start, words in ((_ARGUMENTS, command), (_VARIABLES, variables)):
            text = b"".join(os.fsencode(word) + b"\0" for word in words)
            self._kept.append(memory := ctypes.create_string_buffer(text, len(text)))
            layout[start] = ctypes.addressof(memory)
            layout[start + 1] = layout[start] + len(text)
        packed = struct.pack("11QQIi", *layout, 0, 0, -1)
        _LIBC.prctl(_PR_SET_MM, _PR_SET_MM_MAP, packed, ctypes.c_ulong(len(packed)), 0)

    def become(self, command: list[str], environment: dict[str, str]) -> None:
        """Have Python and uWSGI take this for their command, which uWSGI runs again at a reload,
        and these for their variables. Raises Unfit."""
        os.environ.clear()
        os.environ.update(environment)
        count, words = ctypes.c_int(), ctypes.POINTER(ctypes.c_void_p)()
        ctypes.pythonapi.Py_GetArgcArgv(ctypes.byref(count), ctypes.byref(words))
        if len(command) >= count.value:
            raise Unfit("its command is too long")
        # uWSGI ends the command at the first empty word.
        padded = [*command, *[""] * (count.value - len(command))]
        for index, text in enumerate(padded):
            self._kept.append(word := ctypes.create_unicode_buffer(text))
            words[index] = ctypes.addressof(word)

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


def restore_python() -> None:
    """Leave Python as it is in a uWSGI that has not imported anything yet."""
    main_module = types.ModuleType("__main__")
    vars(main_module).update(
        __loader__=importlib.machinery.BuiltinImporter, __builtins__=builtins, __annotations__={}
    )
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


def preload(names: list[str]) -> dict[str, str]:
    """Import these modules. Returns those that failed, each with the reason."""
    left_out = {}
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:
            left_out[name] = f"{type(error).__name__}: {error}"
    return left_out


def wait(channel: socket.socket, host: Host) -> NoReturn:
    """Become the app of an order, if one comes."""
    os.setsid()
    channel.send(b"h")
    data, ancillary, _, _ = channel.recvmsg(_MESSAGE_BYTES, _ROOM_FOR_FDS)
    if not data:
        os._exit(0)
    try:
        serve(json.loads(data), _descriptors(ancillary), channel, host)
    except BaseException as error:
        os.write(2, f"[emperor] cannot start the app: {error}\n".encode())
        os._exit(1)


def serve(order: dict[str, Any], fds: list[int], channel: socket.socket, host: Host) -> NoReturn:
    """Become the app, step by step as sh(1), setpriv(1) and uWSGI do it. `fds` are those of the
    app, and behind them the files by which it enters its control group."""
    targets, entrances = order["targets"], order["entrances"]
    wanted = dict(zip(targets, fds[: len(targets)], strict=True))
    for output in (1, 2):
        os.dup2(wanted[output], output)
    enter_group(dict(zip(entrances, fds[len(targets) :], strict=True)))
    # What reads the accounts may keep a descriptor, which is closed with all others.
    user, groups = order["user"], groups_of(order["user"])
    above = max(*targets, *fds, channel.fileno()) + 1
    reports = fcntl.fcntl(channel.detach(), fcntl.F_DUPFD_CLOEXEC, above)
    take_descriptors(wanted, reports)
    resource.setrlimit(resource.RLIMIT_NOFILE, tuple(order["open_files"]))
    if order["nice"]:
        os.nice(order["nice"])
    os.chdir(order["folder"])
    binary, environment = order["binary"], order["environment"]
    command = [binary, *order["arguments"]]
    host.rename(os.path.basename(binary), command, environment)
    take_user(user, groups, order["no_new_privs"])
    try:
        maker = maker_of(order["home"])
        host.become(command, environment)
    except Unfit as unfit:
        with suppress(OSError):  # nobody listens
            os.write(reports, str(unfit).encode()[:_REPORT_BYTES])
        os.execve(binary, command, environment)
    # From here on there is code of the tenant's.
    os.close(reports)
    set_up_python(order["home"], maker)
    # At a reload it must be the program, and not Python.
    host.run(["--binary-path", binary, "--set", f"shared-import={_FORKED}", *command[1:]])


def take_descriptors(targets: dict[int, int], reports: int) -> None:
    """Put each descriptor under the number that the app expects, and close all others below
    `reports`."""
    moved = {to: fcntl.fcntl(fd, fcntl.F_DUPFD, reports) for to, fd in targets.items()}
    os.closerange(3, reports)
    for target, fd in moved.items():
        os.dup2(fd, target)
        os.close(fd)


def enter_group(entrances: dict[str, int]) -> None:
    """Enter the control groups, or end in the words of the shell that enters them otherwise
    (emperor/linux/groups.py)."""
    for path, entrance in entrances.items():
        try:
            os.write(entrance, b"0")
        except OSError as error:
            os.write(2, f"emperord: cannot write {path}: {error.strerror}\n".encode())
            os._exit(_NOT_ENTERED)


def groups_of(user: dict[str, Any] | None) -> list[int]:
    """The groups of a user. Ends for one without an account, in the words of setpriv(1)."""
    if user is None or user["name"] is None:
        return []
    try:
        pwd.getpwuid(user["uid"])
    except KeyError:
        os.write(2, f"setpriv: uid {user['uid']} not found\n".encode())
        os._exit(1)
    return os.getgrouplist(user["name"], user["gid"])


def take_user(user: dict[str, Any] | None, groups: list[int], no_new_privs: bool) -> None:
    """As setpriv(1) does: the groups and the user, and no capabilities."""
    if user is None or user["uid"] == 0:
        return
    if no_new_privs:
        with open(_LAST_CAPABILITY, encoding="ascii") as file:
            last = int(file.read())
        for number in range(last + 1):
            _must(_LIBC.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0), "PR_CAPBSET_DROP")
    os.setgroups(groups)
    os.setresgid(user["gid"], user["gid"], user["gid"])
    os.setresuid(user["uid"], user["uid"], user["uid"])
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _must(_LIBC.capset(header, (ctypes.c_uint32 * 6)()), "capset")
    if no_new_privs:
        _must(_LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")
    # A process that changes its user may not look at itself in /proc, until it execs.
    _must(_LIBC.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0), "PR_SET_DUMPABLE")


def _must(result: int, call: str) -> None:
    if result:
        raise OSError(ctypes.get_errno(), f"{call}: {os.strerror(ctypes.get_errno())}")


def set_up_python(home: str, maker: str) -> None:
    """What Python does at its start in that home, which the program `maker` has made."""
    if home != sys.base_prefix:
        # Since Python 3.14 `site` expects them.
        sys.prefix = sys.exec_prefix = home
    forget_the_base()
    # uWSGI ignores both before Python starts.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.executable = f"{home}/bin/python"
    vars(sys)["_base_executable"] = maker
    site.main()


def forget_the_base() -> None:
    """Make anew what modules have noted at their import. (forked.py does the rest.)"""
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


def _protect_from_oom_killer(score: int) -> None:
    """Give apps no protection of the daemon's."""
    # A container may not lower it.
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write(str(score))


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    return array.array("i", b"".join(part for _, _, part in ancillary)).tolist()


if __name__ == "__main__":
    main()
