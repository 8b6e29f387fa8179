"""Apps that are forked from a base: they see what others see, and outlive what happens to it."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.backend import APPS, Backend
from tests.eventually import eventually
from tests.traces import public_folder
from tests.uwsgi.oracle import UWSGI
from tests.virtualenv import make_virtualenv

pytestmark = pytest.mark.bases

FORKED, BY_EXEC = "forked.example", "exec.example"
NO_BASE = "cannot fork apps from a base"


@pytest.fixture
def backend(start: Callable[..., Backend]) -> Backend:
    """A backend whose apps are forked."""
    return start()


def ready(backend: Backend) -> int:
    """The pid of the base, when it has its spares."""
    assert backend.fds
    _, answer = backend.call("GET", "/v1/bases")
    [base] = answer["bases"]
    pid: int = base["pid"]
    return pid


def drop(backend: Backend, domain: str, *lines: str, emperor: tuple[str, ...] = ()) -> None:
    backend.drop(domain, "\n".join(["[uwsgi]", *lines, "[emperor]", *emperor, ""]))


@pytest.fixture(scope="module")
def virtualenv() -> Iterator[Path]:
    """A virtual environment that everybody may read, with a package and a .pth file."""
    with public_folder() as folder:
        home = folder / "venv"
        packages = make_virtualenv(home)
        (packages / "extra").mkdir()
        (packages / "extra.pth").write_text("extra\nimport sys; sys.by_pth = True\n")
        yield home


# `http.cookiejar` needs `calendar`, and `http.cookies` does not.
OWN_CODE = """
import calendar, http.cookiejar, http.cookies, secrets, sys
assert calendar.OWN and secrets.OWN
assert http.cookiejar.timegm is calendar.timegm
assert type(sys.modules["http.cookies"].__spec__.loader).__name__ == "SourceFileLoader"
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"own"]
"""
OPTIONS_SEEN = """
import os, sys
site = sys.modules.get("site")
SEEN = [sys.path, repr(sys.flags), sys.argv, sys.executable, sys.prefix, sys.base_prefix,
        getattr(site, "USER_SITE", None), getattr(site, "ENABLE_USER_SITE", None),
        sys.warnoptions, sys._xoptions, sorted(os.environ.get(each) or "" for each in
        ("HOME", "LANG", "PATH"))]
def application(environ, start_response):
    import json
    start_response("200 OK", [])
    return [json.dumps(SEEN).encode()]
"""
VARIANTS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "virtualenv": ("virtualenv = VENV",),
    "environment": ("env = TZ=Asia/Tokyo", "env = LANG=C.UTF-8", "env = GREETING=hello"),
    "tenant": ("uid",),
    "tenant-in-virtualenv": ("uid", "home = VENV"),
    "threads": ("enable-threads = true", "threads = 2"),
    "lazy": ("lazy-apps = true", "processes = 2"),
    "folder": (f"chdir = {APPS}", "pythonpath = /usr/share"),
    "limits": ("nofile",),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_app_cannot_tell_the_difference(
    backend: Backend, virtualenv: Path, variant: str
) -> None:
    backend.expect("it has no")
    ready(backend)
    lines = [line.replace("VENV", str(virtualenv)) for line in VARIANTS[variant]]
    lines = [line for line in lines if " " in line]
    emperor = ["uid = nobody"] if "uid" in VARIANTS[variant] else []
    emperor += ["nofile = 200", "nice = 3"] if "nofile" in VARIANTS[variant] else []
    for domain, own in ((FORKED, ()), (BY_EXEC, ("bases = off",))):
        drop(backend, domain, f"file = {APPS}/self_portrait.py", *lines, emperor=(*emperor, *own))
    seen = [portrait(backend, domain) for domain in (FORKED, BY_EXEC)]
    assert backend.started(FORKED).startswith("forked from a base")
    assert backend.started(BY_EXEC) == "by exec: bases = off"
    for part in seen[0]:
        assert seen[0][part] == seen[1][part]


def portrait(backend: Backend, domain: str) -> Any:
    reply = backend.get(domain)
    assert reply.status == 200, reply.text
    # Any worker may have answered.
    return json.loads(re.sub(r"uWSGIWorker\d", "uWSGIWorker", reply.text.replace(domain, "DOMAIN")))


def test_two_forks_have_no_secret_in_common(backend: Backend) -> None:
    ready(backend)
    for domain in (FORKED, "other.example"):
        drop(backend, domain, f"file = {APPS}/self_portrait.py")
    one, other = (
        json.loads(backend.get(domain, "/secret").text) for domain in (FORKED, "other.example")
    )
    assert backend.started(FORKED) == backend.started("other.example") == "forked from a base"
    assert not [name for name in one if one[name] == other[name]]


def test_the_process_shows_the_command_of_its_app(backend: Backend) -> None:
    ready(backend)
    for domain, own in ((FORKED, ()), (BY_EXEC, ("bases = off",))):
        drop(backend, domain, f"file = {APPS}/plain.py", emperor=own)
        backend.get(domain)
    forked, by_exec = (psutil.Process(backend.leader(domain)) for domain in (FORKED, BY_EXEC))
    words = [[word for word in each.cmdline() if ".ini" not in word] for each in (forked, by_exec)]
    assert words[0] == words[1]
    assert any(word.endswith(f"{FORKED}.ini") for word in forked.cmdline())
    assert forked.name() == "uwsgi"


def test_an_app_that_reloads_itself_goes_on_as_uwsgi(backend: Backend) -> None:
    ready(backend)
    drop(backend, FORKED, f"file = {APPS}/plain.py")
    first = backend.get(FORKED).text
    pid = backend.leader(FORKED)
    os.kill(pid, signal.SIGHUP)
    eventually(lambda: backend.get(FORKED).text != first, alive=[backend.process])
    assert backend.leader(FORKED) == pid
    assert psutil.Process(pid).exe().endswith("/uwsgi")
    why = "by exec, since it has reloaded itself; it was forked from a base"
    eventually(lambda: backend.started(FORKED) == why, what="why is true")


@pytest.mark.parametrize(
    "where",
    [
        "chdir = FOLDER\nmodule = code",
        "pythonpath = FOLDER\nmodule = code",
        "pythonpath = FOLDER\nfile = FOLDER/code.py",
        "file = FOLDER/wsgi.py",
    ],
)
def test_an_app_finds_its_own_module_first(backend: Backend, folder: Path, where: str) -> None:
    ready(backend)
    own = folder / "own"
    (own / "calendar").mkdir(parents=True)
    (own / "calendar" / "__init__.py").write_text("OWN = True\ntimegm = print\n")
    (own / "secrets.py").write_text("OWN = True\n")
    (own / "code.py").write_text(OWN_CODE)
    (own / "wsgi.py").write_text(
        f"import sys\nsys.path.insert(0, {str(own)!r})\nfrom code import *\n"
    )
    drop(backend, FORKED, where.replace("FOLDER", str(own)))
    assert backend.get(FORKED).text == "own"
    assert backend.started(FORKED) == "forked from a base"


@pytest.mark.parametrize(
    "strike",
    [signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV],
    ids=lambda strike: strike.name,
)
def test_an_app_starts_by_exec_when_the_base_is_gone(
    backend: Backend, strike: signal.Signals
) -> None:
    pid = ready(backend)
    backend.expect(NO_BASE)
    for domain in ("a.example", "b.example", "c.example", "d.example"):
        drop(backend, domain, f"file = {APPS}/plain.py")
    assert backend.get("a.example").status == 200
    os.kill(pid, strike)
    for domain in ("b.example", "c.example", "d.example"):
        assert backend.get(domain).status == 200
    assert backend.get("a.example").status == 200
    eventually(lambda: ready(backend) != pid, alive=[backend.process], what="another base")


def test_a_spare_has_copied_what_apps_write_to(backend: Backend) -> None:
    ready(backend)
    drop(backend, FORKED, f"file = {APPS / 'plain.py'}")
    first = faults_of_a_start(backend)
    assert first > 500
    eventually(lambda: 0 < faults_of_a_start(backend) < first / 2, seconds=60)


def faults_of_a_start(backend: Backend) -> int:
    """How many pages the app has taken from the base, or had mapped, since it was a spare. It
    sleeps afterwards."""
    daemon = psutil.Process(backend.process.pid)
    before = {child.pid: faults(child.pid) for child in daemon.children()}
    backend.get(FORKED)
    pid = backend.detail(FORKED)["status"]["pid"]
    taken = faults(pid) - before.get(pid, 0)
    backend.call("POST", f"/v1/vassals/{FORKED}/sleep")
    eventually(lambda: not psutil.pid_exists(pid))
    return taken if pid in before else 0


def faults(pid: int) -> int:
    """The minor faults of a process, see proc(5)."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[7])


def test_a_stopped_spare_is_passed_over(backend: Backend) -> None:
    ready(backend)
    drop(backend, FORKED, f"file = {APPS}/plain.py")
    for process in backend.bases():
        if process.ppid() == backend.process.pid and process.pid != ready(backend):
            process.suspend()
            eventually(partial(_is_stopped, process), what="the spare has stopped")
    assert backend.get(FORKED).status == 200


def _is_stopped(process: psutil.Process) -> bool:
    return process.status() == psutil.STATUS_STOPPED


# What the Python options of uWSGI are set to; None for what needs another app, or ends uWSGI.
PYTHON_OPTIONS: dict[str, str | None] = {
    "module": None, "wsgi": None, "eval": None, "pecan": None, "paste": None, "web3": None,
    "pump": None, "wsgi-lite": None, "ini-paste": None, "ini-paste-logged": None,
    "python-raw": None, "test": None, "python-version": None, "pyshell": None, "pyshell-oneshot":
    None, "python": None, "py": None, "pyrun": None, "python-worker-override": None,
    "py-sharedarea": None,
    "callable": "application", "home": "VENV", "virtualenv": "VENV", "venv": "VENV",
    "pyhome": "VENV", "py-programname": "/usr/bin/python3", "py-program-name": "/usr/bin/python3",
    "pythonpath": "/usr/share", "python-path": "/usr/share", "pp": "/usr/share",
    "pymodule-alias": "mine=json", "post-pymodule-alias": "mine=json", "import": "json",
    "pyimport": "json", "py-import": "json", "python-import": "json", "shared-import": "json",
    "shared-pyimport": "json", "shared-py-import": "json", "shared-python-import": "json",
    "spooler-import": "json", "spooler-pyimport": "json", "spooler-py-import": "json",
    "spooler-python-import": "json", "pyargv": "a b", "optimize": "1", "paste-logger": "",
    "reload-os-env": "true", "no-site": "true", "py-tracebacker": "TRACES",
    "py-auto-reload": "60", "py-autoreload": "60", "python-auto-reload": "60",
    "python-autoreload": "60", "py-auto-reload-ignore": "json", "wsgi-env-behaviour": "holy",
    "wsgi-env-behavior": "holy", "start_response-nodelay": "true", "wsgi-strict": "true",
    "wsgi-accept-buffer": "true", "wsgi-accept-buffers": "true",
    "wsgi-disable-file-wrapper": "true", "py-call-osafterfork": "true",
    "py-call-uwsgi-fork-hooks": "true", "py-executable": "/opt/own/python",
    "py-sys-executable": "/opt/own/python",
    # Not of Python, and yet read by it.
    "env": "HOME=FOLDER", "unenv": "HOME", "early-envdir": "FOLDER", "envdir": "FOLDER",
}  # fmt: skip


def test_the_python_options_of_uwsgi_are_known() -> None:
    listed = subprocess.run([UWSGI, "--help"], check=True, capture_output=True, text=True).stdout
    options = re.findall(r"^    (?:-\w\|)?--(\S+)", listed, re.MULTILINE)
    of_python = options[options.index("eval") : options.index("py-sys-executable") + 1]
    assert {*of_python} <= {*PYTHON_OPTIONS}


@pytest.mark.parametrize("part", range(4))
def test_the_python_options_of_an_ini_count_in_a_fork(
    backend: Backend, folder: Path, virtualenv: Path, part: int
) -> None:
    ready(backend)
    own = folder / "own"
    packages = own / ".local" / "lib" / "python{}.{}".format(*sys.version_info)
    (packages / "site-packages").mkdir(parents=True)
    (own / "app.py").write_text(OPTIONS_SEEN)
    (own / "HOME").write_text(str(own))
    values = {"VENV": str(virtualenv), "FOLDER": str(own), "TRACES": f"{own}/traces"}
    values["HOME=FOLDER"] = f"HOME={own}"
    options = [(key, value) for key, value in PYTHON_OPTIONS.items() if value is not None]
    for number, (key, value) in enumerate(options[part::4]):
        line = f"{key} = {values.get(value, value)}"
        seen = []
        for way, emperor in ((FORKED, ()), (BY_EXEC, ("bases = off",))):
            domain = f"{number}.{way}"
            drop(backend, domain, f"file = {own}/app.py", line, emperor=emperor)
            backend.until(domain, "parked")
            reply = backend.get(domain)
            assert reply.status == 200, key
            seen.append(json.loads(reply.text))
        assert seen[0] == seen[1], (line, backend.started(f"{number}.{FORKED}"))


REASONS = {
    "optimize = 1": "optimize = 1",
    "env = OPENSSL_CONF=/etc/ssl/openssl.cnf": "env = OPENSSL_CONF=/etc/ssl/openssl.cnf",
    "env = PYTHONHASHSEED=0": "env = PYTHONHASHSEED=0",
    "procname-prefix = mine": "procname-prefix = mine",
}


@pytest.mark.parametrize("line", REASONS)
def test_why_says_why_an_app_was_not_forked(backend: Backend, line: str) -> None:
    ready(backend)
    drop(backend, BY_EXEC, f"file = {APPS}/plain.py", line)
    assert backend.get(BY_EXEC).status == 200
    assert backend.started(BY_EXEC) == f"by exec: {REASONS[line]}"


def test_a_start_by_exec_takes_no_spare(backend: Backend) -> None:
    ready(backend)
    drop(backend, BY_EXEC, f"file = {APPS}/plain.py", emperor=("bases = off",))
    assert backend.get(BY_EXEC).status == 200
    assert forks(backend) == 0
    drop(backend, FORKED, f"file = {APPS}/plain.py")
    assert backend.get(FORKED).status == 200
    assert forks(backend) == 1


def forks(backend: Backend) -> int:
    _, answer = backend.call("GET", "/v1/bases")
    count: int = answer["bases"][0]["apps"]
    return count


def test_a_home_of_another_python_starts_by_exec(backend: Backend, folder: Path) -> None:
    ready(backend)
    home = folder / "old"
    home.mkdir()
    (home / "pyvenv.cfg").write_text("home = /opt/python2.7/bin\n")
    drop(backend, BY_EXEC, f"file = {APPS}/plain.py", f"home = {home}")
    backend.get(BY_EXEC)
    assert backend.started(BY_EXEC) == (
        f"by exec: {home} is a virtual environment of the Python in /opt/python2.7/bin"
    )


def test_nothing_is_forked_if_that_is_switched_off(start: Callable[..., Backend]) -> None:
    backend = start(bases="off")
    drop(backend, BY_EXEC, f"file = {APPS}/plain.py")
    assert backend.get(BY_EXEC).status == 200
    assert backend.started(BY_EXEC) == "by exec: bases = off"
    assert not backend.bases()
