"""The sentence about the exit of a uWSGI. tests/journeys/test_causes.py has each cause for real."""

import time

import pytest

from emperor.model.ports import Exit
from emperor.uwsgi.exits import Circumstances, Killed, explain_exit, explain_replacement

IMPORT = """\
*** Operational MODE: single process ***
Traceback (most recent call last):
  File "/srv/app.py", line 3, in <module>
    import flask
  File "<frozen importlib._bootstrap>", line 1176, in _find_and_load
ModuleNotFoundError: No module named 'flask'
unable to load app 0 (mountpoint='') (callable not found or import error)
*** no app loaded. GAME OVER ***
"""
BY_NAME = """\
Traceback (most recent call last):
  File "/srv/app.py", line 3, in <module>
    importlib.import_module("flask")
  File "/usr/lib/python3.11/importlib/__init__.py", line 126, in import_module
    return _bootstrap._gcd_import(name[level:], package, level)
  File "<frozen importlib._bootstrap>", line 1206, in _gcd_import
ModuleNotFoundError: No module named 'flask'
"""
IMPROPER = """\
Traceback (most recent call last):
  File "/srv/app.py", line 3, in <module>
django.core.exceptions.ImproperlyConfigured: no SECRET_KEY
"""
QUOTA = """\
Traceback (most recent call last):
  File "/srv/app.py", line 3, in <module>
OSError: [Errno 122] Disk quota exceeded: '/home/a/cache'
"""
TAKEN = """\
probably another instance of uWSGI is running on the same address (:8080).
bind(): Address already in use [core/socket.c line 769]
"""
CHDIR = "chdir() to /no\nchdir(): No such file or directory"
NAMELESS = 'Traceback (most recent call last):\n  File "/srv/app.py", line 3, in f\napp.Odd\n'
INSTALL = "install it for uWSGI's Python, or correct virtualenv, pythonpath, chdir or module"
FLASK = "cannot load the app: ModuleNotFoundError: No module named 'flask' (/srv/app.py, line 3)"
AROUND = Circumstances(lambda address: f"by what listens at {address}", ("127.0.0.1:81",))


@pytest.mark.parametrize(
    ("ended", "printed", "expected"),
    [
        (Exit(code=22), IMPORT, f"{FLASK}; {INSTALL}"),
        (Exit(code=22), BY_NAME, f"{FLASK}; {INSTALL}"),
        (Exit(code=22), IMPROPER,
         "cannot load the app: django.core.exceptions.ImproperlyConfigured: no SECRET_KEY"
         " (/srv/app.py, line 3); mend that; its log has the traceback"),
        (Exit(code=22), QUOTA,
         "cannot load the app: OSError: [Errno 122] Disk quota exceeded: '/home/a/cache'"
         " (/srv/app.py, line 3); free space, or raise the user's quota"),
        (Exit(code=22), NAMELESS,
         "cannot load the app: app.Odd (/srv/app.py, line 3); mend that; its log has the"
         " traceback"),
        # What was printed last has ended it.
        (Exit(code=1), IMPORT + TAKEN,
         "cannot listen on :8080: Address already in use, by what listens at :8080; choose another"
         " address, or stop what has this one"),
        (Exit(code=1), "bind(): Permission denied [core/socket.c line 769]\n",
         "cannot bind a socket (127.0.0.1:81): Permission denied; a port below 1024 needs root, and"
         " the folder of a unix socket must be writable by the app's user"),
        (Exit(code=1), "Sat Nov 28 17:12:04 2026 - setns(): Invalid argument [core/utils.c line 9]",
         "cannot start uWSGI: setns(): Invalid argument; correct the option that asks for this"),
        (Exit(code=1), f"{CHDIR} [core/uwsgi.c line 2637]",
         "cannot enter the folder /no of chdir: No such file or directory; create it, or correct"
         " the path"),
        (Exit(code=1), f"{CHDIR} [core/uwsgi.c line 3522]",
         "cannot enter the folder /no of chdir2: No such file or directory; create it, or correct"
         " the path"),
        (Exit(code=1), "emperord: cannot enter /etc/uwsgi/vassals: No such file or directory\n",
         "cannot enter /etc/uwsgi/vassals: No such file or directory"),
        (Exit(code=1), "the sun sets\nSun Nov 29 13:48:16 2026 - *** worker 1 suspended ***\n",
         "uWSGI gave up (exit status 1): the sun sets"),
        # No rule: the last line that is no chatter.
        (Exit(code=1), "the planets stand badly\nVACUUM: pidfile removed.\ngoodbye to uWSGI.\n",
         "uWSGI gave up (exit status 1): the planets stand badly"),
        (Exit(code=1), "thunder lock: disabled\n",
         "uWSGI gave up (exit status 1); its log does not say why, so look where logto or daemonize"
         " of the ini send its output"),
        # emperord's own file is not there in a chroot, and uWSGI goes on.
        (Exit(code=1), "failed to open python file /usr/lib/emperord/emperor/uwsgi/inside.py\n",
         "uWSGI gave up (exit status 1); its log does not say why, so look where logto or daemonize"
         " of the ini send its output"),
        (Exit(code=1), "Sat Nov 28 21:07:33 2026 - uWSGI worker 1 error: the master disconnected"
         " from this worker. Shutting down the worker.\n",
         "the app ended the master process itself (exit status 1), by os._exit() perhaps"),
        (Exit(code=1), "x" * 1000, "uWSGI gave up (exit status 1): " + "x" * 160),
        (Exit(code=3), "", "the app ended itself (exit status 3), by sys.exit() or os._exit()"
         " perhaps"),
        (Exit(unknown="init reaped it"), IMPORT,
         f"exit status unknown: init reaped it; {FLASK}; {INSTALL}"),
        (Exit(code=0), IMPORT + "spawned uWSGI master process (pid: 7)\n", "exit status 0"),
        (Exit(code=22), "Traceback (most recent call last):\n  File \"/a.py\", line 1, in <m>\n"
         "ImportError: cannot import name 'b' from partially initialized module 'a' (/a.py)\n",
         "cannot load the app: ImportError: cannot import name 'b' from partially initialized"
         " module 'a' (/a.py) (/a.py, line 1); two modules import each other; import one of them"
         " later"),
        (Exit(code=0), "*** Operational MODE: single process ***\n",
         "the app ended itself (exit status 0), by sys.exit() or os._exit() perhaps"),
        # An app that served may have printed such lines long ago.
        (Exit(signal="SIGKILL"), IMPORT,
         "killed by SIGKILL: by the kernel for lack of memory (journalctl -k tells), or by hand"),
        (Exit(signal="SIGABRT"), "Fatal Python error: Aborted\n",
         "cannot go on: Fatal Python error: Aborted; its log has more"),
        (Exit(signal="SIGUSR1"), "", "killed by SIGUSR1"),
    ],
)  # fmt: skip
def test_an_exit_is_explained_by_what_was_printed_last(
    ended: Exit, printed: str, expected: str
) -> None:
    assert explain_exit(ended, printed, AROUND) == expected


@pytest.mark.parametrize(
    ("killed", "printed", "expected"),
    [
        (Killed.UNTOLD, IMPORT, f"{FLASK}; {INSTALL}"),
        (Killed.UNTOLD, "migrating\n", "the last line of its log is 'migrating'"),
        (Killed.UNTOLD, "", "its log does not say why"),
        (
            Killed.UNTOLD,
            "DAMN ! worker 1 (pid: 7) died, killed by signal 10 :( trying respawn ...\n"
            "Respawned uWSGI worker 1 (new pid: 8)\nmigrating\n",
            "worker 1 (pid 7) was killed by SIGUSR1; the last line of its log is 'migrating'",
        ),
        (
            Killed.UNTOLD,
            "... monitored exception detected, respawning worker 1 (pid: 7)...\n"
            "Respawned uWSGI worker 1 (new pid: 8)\n"
            "worker respawning too fast !!! i have to sleep a bit (2 seconds)...\n",
            "a worker ended itself, by sys.exit() or os._exit() perhaps",
        ),
        # It was slow to stop, whatever it printed before.
        (Killed.TOLD, IMPORT, "killed by SIGKILL"),
    ],
)
def test_a_process_that_emperord_killed_tells_how_far_it_came(
    killed: Killed, printed: str, expected: str
) -> None:
    assert explain_exit(Exit(signal="SIGKILL"), printed, AROUND, killed) == expected


def test_a_value_that_looks_like_a_format_is_harmless() -> None:
    printed = "[strict-mode] unknown config directive: {holder.__class__}{0}\n"
    assert "'{holder.__class__}{0}'" in explain_exit(Exit(code=1), printed, AROUND)


@pytest.mark.parametrize("line", ["(" * 80, 'running "' * 9, "open(" * 16, "A." * 40, " " * 80])
def test_an_output_made_to_be_slow_is_read_quickly(line: str) -> None:
    _is_read_quickly(f"{line}\n" * (16384 // len(line)))


@pytest.mark.parametrize("words", ["()", "mmap()", '" (', 'open("', 'open("a"): ', "/", "a "])
@pytest.mark.parametrize("length", [290, 16384])
def test_long_lines_are_read_quickly(words: str, length: int) -> None:
    line = f'running "{words * 8192}'[:length]
    _is_read_quickly(f"{line}\n" * (16384 // length))


def test_a_traceback_of_thousands_of_lines_is_read_quickly() -> None:
    _is_read_quickly("Traceback (most recent call last):\n" + "A\n" * 8000)


@pytest.mark.parametrize(
    "lines",
    [
        ["chroot() to /a"] * 70 + ["!!! Python Home is not a directory: /a !!!"] * 130,
        ["chroot() to /a", "!!! Python Home is not a directory: /a !!!"] * 100,
        ["Set PythonHome to /a", "Fatal Python error"] * 100,
        ['running "' + '" (' * 70 + ") ..."] * 200,
    ],
)
def test_lines_of_one_failure_without_end_are_read_quickly(lines: list[str]) -> None:
    _is_read_quickly("".join(f"{line:<210}\n" for line in lines))


def test_a_long_line_still_tells_the_cause() -> None:
    printed = f"ValueError: {'x' * 9000}\nopen(): {'y' * 9000}\n"
    assert "ValueError: xxx" in explain_exit(Exit(code=22), printed, AROUND)


def _is_read_quickly(printed: str) -> None:
    began = time.process_time()
    explain_exit(Exit(code=1), printed, AROUND)
    explain_replacement(f"{printed}DAMN ! worker 1 (pid: 1) died\n")
    assert time.process_time() - began < 0.2


BOTH_BORN = "spawned uWSGI worker 1 (pid: 7, cores: 1)\nspawned uWSGI worker 2 (pid: 8, cores: 1)\n"
OVERDUE = """\
Sat Nov 28 17:12:08 2026 - *** HARAKIRI ON WORKER 1 (pid: 7, try: 1, graceful: yes) ***
Sat Nov 28 17:12:08 2026 - HARAKIRI [core 0] 10.0.0.1 - GET /slow?token=x since 1795885927
"""

BOOM = """\
Traceback (most recent call last):
  File "/srv/app.py", line 22, in application
    raise RuntimeError("boom")
RuntimeError: boom
"""
ANSWERED = (
    "[pid: 8|app: 0|req: 1/1] 10.0.0.1 () {40 vars in 500 bytes} [date] GET /boom => 0 bytes\n"
)


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        (BOTH_BORN, ""),
        # After max-requests.
        (BOTH_BORN + "...The work of process 7 is done. Seeya!\n"
         "worker 1 killed successfully (pid: 7)\nRespawned uWSGI worker 1 (new pid: 9)\n", ""),
        (BOTH_BORN + OVERDUE
         + "DAMN ! worker 1 (pid: 7) died, killed by signal 9 :( trying respawn ...\n"
         "Respawned uWSGI worker 1 (new pid: 9)\n",
         "cannot answer in time: harakiri killed worker 1 (pid 7) during GET /slow; make such"
         " requests faster, or raise harakiri"),
        (BOTH_BORN + "DAMN ! worker 2 (pid: 8) died, killed by signal 9 :( trying respawn ...\n",
         "worker 2 (pid 8) was killed by SIGKILL: by the kernel for lack of memory (journalctl -k"
         " tells), or by hand"),
        (BOTH_BORN + "DAMN ! worker 2 (pid: 8) MISTERIOUSLY killed by signal 250 :( trying\n",
         "worker 2 (pid 8) was killed by signal 250"),
        (BOTH_BORN + "DAMN ! worker 2 (pid: 8) died :( trying respawn ...\n",
         "worker 2 (pid 8) ended itself, by sys.exit() or os._exit() perhaps"),
        # The worker lived on after the exception.
        (BOTH_BORN + BOOM + ANSWERED + "DAMN ! worker 2 (pid: 8) died :( trying respawn ...\n",
         "worker 2 (pid 8) ended itself, by sys.exit() or os._exit() perhaps"),
        (BOTH_BORN + ANSWERED + BOOM + "DAMN ! worker 2 (pid: 8) died :( trying respawn ...\n",
         "worker 2 (pid 8) died: cannot load the app: RuntimeError: boom (/srv/app.py, line 22);"
         " mend that; its log has the traceback"),
    ],
)  # fmt: skip
def test_a_worker_that_died_is_explained(printed: str, expected: str) -> None:
    assert explain_replacement(printed) == expected
