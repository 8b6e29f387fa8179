"""Ways in which an app fails to start, each with the sentence that the operator must see.

In an ini and in a sentence {site} is the folder of the app, {secret} a folder of root's alone,
{full} one on a full disk, {port} a port at which a process listens and {listener} that process,
{neighbour} a port of the app neighbour.example, and {pid} its pid.
"""

from dataclasses import dataclass

APP = """\
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"fine"]
"""
_SLOW = "[emperor]\nstart-timeout = 1s"
_INSTALL = "install it for Python {python}, or correct virtualenv, pythonpath, chdir or module"
_ENTER = "Permission denied; let the app's user in: each folder of the path counts"
_CREATE = "No such file or directory; create it, or correct the path"


@dataclass(frozen=True, slots=True)
class Failure:
    """An app that fails: the lines of its ini, its code, the owner of its ini, and the sentence.
    `is_named`: the ini gets the option `file` for the app."""

    name: str
    sentence: str
    ini: str = ""
    app: str = APP
    owner: str = "root"
    is_named: bool = True


SOCKETS = (
    Failure(
        "port-taken",
        "cannot listen on 127.0.0.1:{port}: Address already in use, by {listener}; choose another"
        " address, or stop what has this one",
        "http-socket = 127.0.0.1:{port}",
    ),
    Failure(
        "router-port-taken",
        "cannot listen on 127.0.0.1:{port}: Address already in use, by {listener}; choose another"
        " address, or stop what has this one",
        "http = 127.0.0.1:{port}",
    ),
    Failure(
        "stats-port-taken",
        "cannot listen on 127.0.0.1:{neighbour}: Address already in use, by neighbour.example (pid"
        " {pid}); choose another address, or stop what has this one",
        "stats = 127.0.0.1:{neighbour}",
    ),
    Failure(
        "claimed",
        "cannot serve claimed.example.ini: claimed.example.ini claims the socket"
        " 127.0.0.1:{neighbour}, which neighbour.example.ini has; change one",
        "http-socket = 127.0.0.1:{neighbour}",
    ),
    Failure(
        "foreign-address",
        "cannot bind a socket (192.0.2.1:8080): Cannot assign requested address; no interface of"
        " this machine has that address, so correct it",
        "http-socket = 192.0.2.1:8080",
    ),
    Failure(
        "low-port",
        "cannot bind a socket (127.0.0.1:81): Permission denied; a port below 1024 needs root, and"
        " the folder of a unix socket must be writable by the app's user",
        "http-socket = 127.0.0.1:81",
        owner="nobody",
    ),
    Failure(
        "socket-without-folder",
        "cannot bind a socket ({site}/nowhere/http.sock): its folder is not there (No such file or"
        " directory); create the folder, or correct the path",
        "http-socket = {site}/nowhere/http.sock",
    ),
    Failure(
        "socket-folder-denied",
        "cannot bind a socket ({secret}/http.sock): Permission denied; a port below 1024 needs"
        " root, and the folder of a unix socket must be writable by the app's user",
        "http-socket = {secret}/http.sock",
        owner="nobody",
    ),
    Failure(
        "chown-denied",
        "cannot give a socket of the ini ({full}/chown.sock) to the user of chown-socket: chown():"
        " Operation not permitted; drop that socket, as nginx talks to emperord's own, or drop"
        " chown-socket",
        "http-socket = {full}/chown.sock\nchown-socket = root",
        owner="nobody",
    ),
    Failure(
        "long-queue",
        "cannot listen: Listen queue size is greater than the system max net.core.somaxconn"
        " ({somaxconn}); lower `listen`, or raise net.core.somaxconn by sysctl",
        "http-socket = 127.0.0.1:0\nlisten = 1000000000",
    ),
    Failure(
        "certificate-missing",
        "cannot set up TLS: unable to assign certificate {site}/no.crt; is it a readable PEM file,"
        " and does the key belong to the certificate?",
        "https = 127.0.0.1:0,{site}/no.crt,{site}/no.key",
    ),
)

PLACES = (
    Failure(
        "chdir-missing",
        "cannot enter the folder {site}/nowhere of chdir: " + _CREATE,
        "chdir = {site}/nowhere",
    ),
    Failure(
        "chdir-denied",
        "cannot enter the folder {secret} of chdir: " + _ENTER,
        "chdir = {secret}",
        owner="nobody",
    ),
    Failure(
        "chroot-empty",
        "cannot start Python: its library is not in the folder {site} of chroot; put Python there,"
        " or drop chroot",
        "chroot = {site}",
    ),
    Failure(
        "regular-expression",
        "cannot use a regular expression of the ini: pcre error: code 114 at offset 1; correct that"
        " of route, log-filter, log-drain, log-route, log-alarm or static-expires",
        "log-filter = (",
    ),
    Failure(
        "cache-without-items",
        "cannot use a value of the ini: you have to specify the maximum number of cache items;"
        " complete it",
        "cache2 = name=a,items=many",
    ),
    Failure(
        "computed-no-workers",
        "cannot accept requests: uWSGI runs no workers; set processes to 1 or more",
        "processes = @(exec://echo 0)",
    ),
    Failure(
        "chroot-missing",
        "cannot enter the folder {site}/nowhere of chroot: " + _CREATE,
        "chroot = {site}/nowhere",
    ),
    Failure(
        "log-denied",
        "cannot write the log {secret}/app.log of logto or daemonize: " + _ENTER,
        "logto = {secret}/app.log",
        owner="nobody",
    ),
    Failure(
        "daemonize-missing",
        "cannot write the log {site}/nowhere/app.log of logto or daemonize: " + _CREATE,
        "daemonize = {site}/nowhere/app.log",
    ),
    Failure(
        "pidfile-denied",
        "cannot write the pidfile {secret}/app.pid: " + _ENTER,
        "pidfile = {secret}/app.pid",
        owner="nobody",
    ),
    Failure(
        "spooler-missing",
        "cannot use the folder of spooler: " + _CREATE,
        "spooler = {site}/nowhere/spool",
    ),
    Failure(
        "fifo-denied",
        "cannot make the FIFO of master-fifo: " + _ENTER,
        "master-fifo = {secret}/fifo",
        owner="nobody",
    ),
    Failure(
        "fifo-taken",
        "cannot make the FIFO of master-fifo: File exists; something else has that path; remove it,"
        " or choose another",
        "master-fifo = {site}",
    ),
    Failure(
        "value-file-missing",
        "cannot open {site}/nowhere: " + _CREATE,
        "env = SECRET=@({site}/nowhere)",
    ),
    Failure(
        "envdir-missing",
        "cannot read the folder of envdir: " + _CREATE,
        "envdir = {site}/nowhere",
    ),
    Failure(
        "waits-for-a-file",
        "did not accept within 1 s; cannot start yet: uWSGI waits for {site}/nowhere (wait-for-*,"
        " at most 60 seconds); create it, or drop that option",
        "wait-for-file = {site}/nowhere\n" + _SLOW,
    ),
    Failure(
        "disk-full",
        "cannot load the app: OSError: [Errno 28] No space left on device ({site}/app.py, line 1);"
        " free space on that disk",
        app="open('{full}/data', 'w').write('x' * 100000)\n",
    ),
)

USERS = (
    Failure(
        "user-missing",
        "cannot serve user-missing.example.ini: line 3: there is no user 'nosuchuser'; create it,"
        " or correct uid",
        "uid = nosuchuser",
    ),
    Failure(
        "group-missing",
        "cannot serve group-missing.example.ini: line 3: there is no group 'nosuchgroup'; create"
        " it, or correct gid",
        "gid = nosuchgroup",
    ),
    Failure(
        "attribute-user-missing",
        "cannot serve attribute-user-missing.example.ini: line 4: there is no user 'nosuchuser';"
        " create it, or correct uid",
        "[emperor]\nuid = nosuchuser",
    ),
    Failure(
        "chroot-of-a-tenant",
        "cannot chroot() as non-root user: the app runs as the owner of its ini; drop uid, gid and"
        " chroot, or have root own the ini",
        "chroot = {site}",
        owner="nobody",
    ),
)

HOOKS = (
    Failure(
        "hook-fails",
        'cannot run the command of exec-pre-app: command "false" exited with non-zero code 1; mend'
        " that command, or drop exec-pre-app",
        "exec-pre-app = false",
    ),
    Failure(
        "hook-command-missing",
        'cannot run the command of exec-as-user: command "/no/such/command" exited with non-zero'
        " code 127: /bin/sh: 1: /no/such/command: not found; mend that command, or drop"
        " exec-as-user",
        "exec-as-user = /no/such/command",
    ),
    Failure(
        "hook-exits",
        'cannot run the command of hook-asap: command "exit 3" exited with non-zero code 3; mend'
        " that command, or drop hook-asap",
        "hook-asap = exec:exit 3",
    ),
    Failure(
        "hook-unknown",
        "cannot run a hook: uWSGI has no action 'explode'; correct it, as exec:COMMAND",
        "hook-as-user = explode:now",
    ),
    Failure(
        "hook-mkdir",
        "cannot do mkdir:{site}/nowhere/a of a hook: uwsgi_hook_mkdir(): No such file or directory;"
        " correct it, or drop that hook",
        "hook-asap = mkdir:{site}/nowhere/a",
    ),
    Failure(
        "hook-rpc",
        "cannot do rpc:nosuch of a hook: local rpc subsystem is still not initialized !!!; correct"
        " it, or drop that hook",
        "hook-as-user = rpc:nosuch",
    ),
    Failure(
        "hook-function-missing",
        "cannot call the function 'no_such_function' of a hook: uWSGI has none of that name;"
        " correct it, or load the plugin that has it",
        "call-pre-app = no_such_function",
    ),
    Failure(
        "cron-syntax",
        "cannot add a cron job: invalid cron syntax; write cron = MINUTE HOUR DAY MONTH WEEKDAY"
        " COMMAND in numbers, with -1 for any",
        "cron = 0 3 backup",
    ),
    Failure(
        "cron2-syntax",
        "cannot add the cron job 'minute=0': invalid cron syntax; write cron2 = minute=M,hour=H"
        " COMMAND",
        "cron2 = minute=0",
    ),
)

OPTIONS = (
    Failure(
        "strict",
        "cannot use the option 'harakri': under `strict` an unknown config directive is an error;"
        " correct or drop it, or load the plugin that knows it",
        "strict = true\nharakri = 5",
    ),
    Failure(
        "value-negative",
        "cannot use the value of harakiri: invalid value, must be > 0; correct it",
        "harakiri = -5",
    ),
    Failure(
        "value-invalid",
        "cannot use a value of the ini: invalid chmod value: 99; correct it",
        "chmod-socket = 99",
    ),
    Failure(
        "cheaper",
        "cannot use cheaper: must be lower than processes; raise processes, or lower cheaper",
        "cheaper = 3\nprocesses = 2",
    ),
    Failure(
        "mountpoint",
        "cannot mount '/shop': invalid mountpoint; write mount = /PATH=FILE",
        "mount = /shop",
    ),
    Failure(
        "plugin-missing",
        "cannot load the plugin 'no_such': this uWSGI finds none of that name; install it, set"
        " plugins-dir, or drop need-plugin",
        "need-plugin = no_such",
    ),
    Failure(
        "logger-missing",
        "cannot start uWSGI: unable to find logger nosuch; correct the option that asks for this",
        "logger = nosuch:foo",
    ),
    Failure(
        "address-space",
        "cannot get memory: Cannot allocate memory; raise limit-as or the machine's memory, or"
        " lower what the ini has uWSGI allocate (cache2, processes, threads)",
        "limit-as = 20",
    ),
)

APPS = (
    Failure(
        "import",
        "cannot load the app: ModuleNotFoundError: No module named 'nobody_has_this'"
        " ({site}/app.py, line 2); " + _INSTALL,
        app="import os\nimport nobody_has_this\n",
    ),
    Failure(
        "import-lazily",
        "cannot load the app: ModuleNotFoundError: No module named 'nobody_has_this'"
        " ({site}/app.py, line 1); " + _INSTALL,
        "lazy-apps = true",
        app="import nobody_has_this\n",
    ),
    Failure(
        "output-elsewhere",
        "the app could not be loaded (exit status 22); its log does not say why, so look where"
        " logto or daemonize of the ini send its output",
        "logto = {site}/own.log",
        app="import nobody_has_this\n",
    ),
    Failure(
        "module-missing",
        "cannot load the app: ModuleNotFoundError: No module named 'no_such_module'; " + _INSTALL,
        "module = no_such_module:app",
        is_named=False,
    ),
    Failure(
        "virtualenv-missing",
        "cannot start Python: the virtualenv {site}/venv is not there; create it, or correct"
        " virtualenv or home",
        "virtualenv = {site}/venv",
    ),
    Failure(
        "virtualenv-empty",
        "cannot start Python: {site} is no virtualenv of this Python; create it anew with the"
        " Python of uWSGI, or correct virtualenv or home",
        "virtualenv = {site}",
    ),
    Failure(
        "virtualenv-of-another-python",
        "cannot load the app: ModuleNotFoundError: No module named 'flask' ({site}/app.py, line 1):"
        " {old} is a virtualenv of Python 2.7; make it anew by python{python} -m venv, as its"
        " user",
        "virtualenv = {old}",
        app="import flask\n",
    ),
    Failure(
        "import-of-a-name",
        "cannot load the app: ImportError: cannot import name 'nothing' from 'os' ({os})"
        " ({site}/app.py, line 1); is what is installed for Python {python} of the right version?",
        app="from os import nothing\n",
    ),
    Failure(
        "syntax",
        "cannot load the app: SyntaxError: expected ':' ({site}/app.py, line 1); mend that line;"
        " this is Python {python}",
        app="def application(environ, start_response)\n    pass\n",
    ),
    Failure(
        "indentation",
        "cannot load the app: IndentationError: expected an indented block after 'if' statement on"
        " line 1 ({site}/app.py, line 2); mend that line",
        app="if True:\npass\n",
    ),
    Failure(
        "exception",
        "cannot load the app: KeyError: 'DATABASE_URL' ({site}/app.py, line 2); mend that; its log"
        " has the traceback",
        app="import os\nos.environ['DATABASE_URL']\n",
    ),
    Failure(
        "memory",
        "cannot load the app: MemoryError ({site}/app.py, line 1); raise limit-as or MemoryMax=, or"
        " have the app need less",
        "limit-as = 200",
        app="hog = bytearray(1 << 30)\n",
    ),
    Failure(
        "file-missing",
        "cannot load the app: failed to open python file {site}/nowhere.py; is it there, and"
        " may the app's user read it?",
        "file = {site}/nowhere.py",
        is_named=False,
    ),
    Failure(
        "callable-missing",
        "cannot load the app: {site}/app.py defines no callable `application`, or none of the name"
        " in `callable`; define it, or correct `callable`",
        "callable = aplication",
    ),
    Failure(
        "callable-missing-in-module",
        "cannot load the app: callable not found; write module = MODULE:CALLABLE, or callable ="
        " CALLABLE, by a name that the module defines",
        "chdir = {site}\nmodule = app:aplication",
        is_named=False,
    ),
    Failure(
        "not-callable",
        "cannot load the app: the `application` of {site}/app.py is no callable object; make it a"
        " function or an object with __call__",
        app="application = 3\n",
    ),
    Failure(
        "no-app",
        "cannot load the app: no app loaded; name one by file, wsgi-file or module",
        "static-map = /files={site}\nstatic-index = index.html\nneed-app = true",
        is_named=False,
    ),
)

EXCEPTIONS = (
    Failure(
        "raised-from-another",
        "cannot load the app: RuntimeError: no Django ({site}/app.py, line 4), since"
        " ModuleNotFoundError: No module named 'nobody_has_this'; " + _INSTALL,
        app="try:\n    import nobody_has_this\nexcept ImportError as error:\n"
        "    raise RuntimeError('no Django') from error\n",
    ),
    Failure(
        "several-exceptions",
        "cannot load the app: ExceptionGroup: several (2 sub-exceptions) ({site}/app.py, line 1);"
        " mend that; its log has the traceback",
        app="raise ExceptionGroup('several', [ValueError('one'), KeyError('two')])\n",
    ),
    Failure(
        "own-exception",
        "cannot load the app: NotConfigured: no SECRET_KEY ({site}/app.py, line 2); mend that; its"
        " log has the traceback",
        app="class NotConfigured(Exception): pass\nraise NotConfigured('no SECRET_KEY')\n",
    ),
    Failure(
        "database-missing",
        "cannot load the app: sqlite3.OperationalError: unable to open database file"
        " ({site}/app.py, line 2); is its database there, and may the app's user use it?",
        app="import sqlite3\nsqlite3.connect('{site}/nowhere/db')\n",
    ),
    Failure(
        "asks-for-input",
        "cannot load the app: EOFError: EOF when reading a line ({site}/app.py, line 1); it asks"
        " for input, and gets none: write the answer into its settings",
        app="input('password: ')\n",
    ),
)

ENDS = (
    Failure(
        "ended-in-peace",
        "the app ended itself (exit status 0), by sys.exit() or os._exit() perhaps",
        app="import sys\nsys.exit(0)\n",
    ),
    Failure(
        "own-timer",
        "killed by SIGALRM: a timer that the app has set itself (alarm, setitimer)",
        app="import signal\nsignal.alarm(1)\nsignal.pause()\n",
    ),
    Failure(
        "segmentation-fault",
        "cannot go on: Segmentation Fault in compiled code, of the app or of a module that it"
        " loads; install such modules anew for this Python",
        app="import ctypes\nctypes.string_at(0)\n",
    ),
    Failure(
        "abort",
        "killed by SIGABRT: compiled code that gave up by abort()",
        app="import os\nos.abort()\n",
    ),
    Failure(
        "killed-from-outside",
        "killed by SIGKILL: by the kernel for lack of memory (journalctl -k tells), or by hand",
        app="import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n",
    ),
    Failure(
        "own-code",
        "the app ended itself (exit status 3), by sys.exit() or os._exit() perhaps",
        app="import sys\nsys.exit(3)\n",
    ),
    Failure(
        "own-words",
        "uWSGI gave up (exit status 1): set DATABASE_URL",
        app="import sys\nsys.exit('set DATABASE_URL')\n",
    ),
    Failure(
        "slow",
        "did not accept within 1 s; the last line of its log is 'waiting for the database'",
        _SLOW,
        app="import signal\nprint('waiting for the database', flush=True)\nsignal.pause()\n",
    ),
    Failure(
        "slow-in-silence",
        "did not accept within 1 s; its log does not say why",
        _SLOW,
        app="import signal\nsignal.pause()\n",
    ),
    Failure(
        "no-workers",
        "cannot serve no-workers.example.ini: line 3: processes = auto counts as 0, so no worker"
        " accepts requests; write a number, or processes = %k for one worker per core",
        "processes = auto",
    ),
)

# The first worker dies before it accepts, and the next one serves.
DIES_ONCE = Failure(
    "dies-once",
    "fine",
    "lazy-apps = true",
    app=f"""\
import os
if not os.path.exists("{{site}}/died"):
    os.mkdir("{{site}}/died")
    os.kill(os.getpid(), 9)
{APP}""",
)

# uWSGI starts the worker of these again and again, and none accepts. Each sentence is a pattern.
LOOPS = (
    Failure(
        "loop-exits",
        r"a worker ended itself, by sys.exit\(\) or os._exit\(\) perhaps",
        "lazy-apps = true",
        app="import os\nos._exit(5)\n",
    ),
    Failure(
        "loop-exits-with-words",
        r"worker 1 \(pid \d+\) ended itself, by sys.exit\(\) or os._exit\(\) perhaps; the last"
        " line of its log is 'set DATABASE_URL'",
        "lazy-apps = true\nforkbomb-delay = 0",
        app="import os\nprint('set DATABASE_URL', flush=True)\nos._exit(3)\n",
    ),
    Failure(
        "loop-crashes",
        r"cannot go on: Segmentation Fault in compiled code",
        "lazy-apps = true",
        app="import ctypes\nctypes.string_at(0)\n",
    ),
    Failure(
        "loop-chdir2",
        "cannot enter the folder /nodir of chdir2: " + _CREATE,
        "chdir2 = /nodir\nprocesses = 2",
    ),
    Failure(
        "loop-killed",
        r"worker 1 \(pid \d+\) was killed by SIGKILL: by the kernel for lack of memory",
        "lazy-apps = true",
        app="import os\nos.kill(os.getpid(), 9)\n",
    ),
)

# These start, and fail at the first request. Each sentence is a pattern.
WORKERS = (
    Failure(
        "overdue",
        r"cannot answer in time: harakiri killed worker 1 \(pid \d+\) during GET /; make such"
        " requests faster, or raise harakiri",
        "harakiri = 1",
        app="import signal\ndef application(environ, start_response):\n    signal.pause()\n",
    ),
    Failure(
        "worker-crashes",
        r"worker 1 \(pid \d+\) died: cannot go on: Segmentation Fault in compiled code, of the app"
        " or of a module that it loads; install such modules anew for this Python",
        app="import ctypes\ndef application(environ, start_response):\n    ctypes.string_at(0)\n",
    ),
    Failure(
        "worker-killed",
        r"worker 1 \(pid \d+\) was killed by SIGKILL: by the kernel for lack of memory \(journalctl"
        r" -k tells\), or by hand",
        app="import os\ndef application(environ, start_response):\n    os.kill(os.getpid(), 9)\n",
    ),
    Failure(
        "worker-exits",
        r"worker 1 \(pid \d+\) ended itself, by sys.exit\(\) or os._exit\(\) perhaps",
        app="import os\ndef application(environ, start_response):\n    os._exit(3)\n",
    ),
    Failure(
        "mule-missing",
        r"cannot keep mule 1 running: failed to open python file {site}/no\.py; is it there, and"
        " may the app's user read it?",
        "mule = {site}/no.py",
    ),
    Failure(
        "mule-raises",
        r"cannot keep mule 1 running: KeyError: 'nothing' \({site}/mule\.py, line 1\); mend that",
        "mule = {site}/mule.py\nfile-write = {site}/mule.py={}['nothing']",
    ),
    Failure(
        "daemon-missing",
        "cannot keep the daemon 'nosuch -x' running: nosuch: not found; correct it, or drop it",
        "attach-daemon = nosuch -x",
    ),
    Failure(
        "daemon-ends",
        "cannot keep the daemon 'false' running: it ends as soon as it has started; correct it",
        "attach-daemon = false",
    ),
    Failure(
        "job-missing",
        "cannot run the job 'nosuch': nosuch: not found; correct it",
        "cron = -1 -1 -1 -1 -1 nosuch",
    ),
    Failure(
        "loop-missing",
        "cannot run the loop of the ini: unavailable loop engine;"
        " correct `loop`, or load the plugin that has it",
        "loop = nosuch",
    ),
    Failure(
        "gevent-missing",
        "cannot load the app: ModuleNotFoundError: No module named 'gevent'; install it for Python"
        " {python}, or correct virtualenv, pythonpath, chdir or module",
        "gevent = 4",
    ),
)

FAILURES = (*SOCKETS, *PLACES, *USERS, *HOOKS, *OPTIONS, *APPS, *EXCEPTIONS, *ENDS)
