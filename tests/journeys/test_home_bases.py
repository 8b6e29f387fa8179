"""Bases of virtual environments: for apps that share one, as their user, and for them alone."""

import json
import os
import pwd
import re
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.backend import APPS, Backend
from tests.eventually import eventually
from tests.traces import public_folder
from tests.virtualenv import add_package, make_virtualenv

pytestmark = pytest.mark.bases

ONE, OTHER, THIRD = "one.example", "other.example", "third.example"
# An app that tells what it has of the package `extra`, which is in the virtual environment.
APP = """
import extra, json, os, sys
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    told = {"imported_by": extra.PID, "pid": os.getpid(), "user": extra.UID,
            "left_out": sorted(name for name in sys.modules if name.startswith("extra.bad")),
            "loader": type(extra.__spec__.loader).__name__, "greeting": extra.GREETING}
    return [json.dumps(told).encode()]
"""
EXTRA = """
import os
import pwd
import re
import signal
PID, UID = int(os.readlink("/proc/self")), os.geteuid()
GREETING = os.environ.get("GREETING")
"""


@pytest.fixture
def backend(start: Callable[..., Backend], folder: Path) -> Backend:
    """A backend that can fork, and learns what apps import."""
    backend = start(learns=True)
    backend.until_base_is_ready()
    return backend


@pytest.fixture
def home(backend: Backend) -> Iterator[Path]:
    """A virtual environment that everybody may read, with the package `extra`."""
    with public_folder() as folder:
        home = folder / "venv"
        # A base may be on its way when the test ends.
        backend.expect(f"{home} is no virtual environment")
        add_package(make_virtualenv(home), "extra", EXTRA)
        (folder / "app.py").write_text(APP)
        yield home


def packages(home: Path) -> Path:
    [found] = home.glob("lib/python3*/site-packages")
    return found


def drop(
    backend: Backend,
    domain: str,
    home: Path,
    *lines: str,
    user: str = "nobody",
    emperor: Iterable[str] = (),
) -> None:
    loads = [] if any("app.py" in line for line in lines) else [f"file = {home.parent}/app.py"]
    text = ["[uwsgi]", f"home = {home}", *loads, *lines]
    backend.drop(domain, "\n".join([*text, "[emperor]", f"uid = {user}", *emperor, ""]))
    eventually(lambda: backend.vassal(domain), what="emperord has read it")


def dropped(backend: Backend, home: Path, *domains: str) -> tuple[str, ...]:
    for domain in domains:
        drop(backend, domain, home)
    return domains


def portrait(backend: Backend, domain: str) -> Any:
    """What the app at self_portrait.py tells of itself."""
    text = backend.get(domain).text
    # Any worker may have answered.
    return json.loads(re.sub(r"uWSGIWorker\d", "uWSGIWorker", text.replace(domain, "DOMAIN")))


def told(backend: Backend, domain: str) -> Any:
    reply = backend.get(domain)
    assert reply.status == 200, reply.text
    return json.loads(reply.text)


def bases_of(backend: Backend, home: Path) -> list[Any]:
    """The bases of that home that can fork."""
    _, answer = backend.call("GET", "/v1/bases")
    return [base for base in answer["bases"] if base["home"] == str(home)]


def sleep(backend: Backend, domain: str) -> None:
    status, _ = backend.call("POST", f"/v1/vassals/{domain}/sleep")
    assert status == 200
    backend.until(domain, "parked")


def shared(backend: Backend, home: Path, *domains: str, user: str = "nobody") -> Any:
    """The base of that home, which these apps have made worth it, and which sleep then."""
    for domain in domains or (ONE, OTHER):
        drop(backend, domain, home, user=user)
        assert told(backend, domain)["imported_by"]
    for domain in domains or (ONE, OTHER):
        sleep(backend, domain)
    eventually(lambda: bases_of(backend, home), alive=[backend.process], what="a base of its own")
    [base] = bases_of(backend, home)
    return base


def test_apps_that_share_a_home_share_its_modules(backend: Backend, home: Path) -> None:
    base = shared(backend, home)
    print({k: v for k, v in base.items() if k != "modules"})
    assert "extra" in base["modules"] and base["user"] == "nobody"
    assert psutil.Process(base["pid"]).username() == "nobody"
    seen = told(backend, ONE)
    assert seen["imported_by"] == base["pid"], "the app has what the base has imported"
    assert seen["loader"] == "SourceFileLoader"
    assert backend.started(ONE) == f"forked from a base of {home}"


def test_an_app_of_such_a_base_cannot_tell_it(backend: Backend, home: Path) -> None:
    app = home.parent / "app.py"
    app.write_text((APPS / "self_portrait.py").read_text() + "\nimport extra\n")
    for domain, own in ((ONE, ()), (OTHER, ()), (THIRD, ("bases = off",))):
        drop(backend, domain, home, emperor=own)
        # The first start tells emperord which files it has read, by a descriptor more.
        assert backend.get(domain).status == 200
        sleep(backend, domain)
    eventually(lambda: bases_of(backend, home), what="a base of its own")
    seen = [portrait(backend, domain) for domain in (ONE, THIRD)]
    assert backend.started(ONE) == f"forked from a base of {home}"
    assert backend.started(THIRD) == "by exec: bases = off"
    for part in seen[0]:
        for what in seen[0][part]:
            assert (what, seen[0][part][what]) == (what, seen[1][part].get(what))
    one, other = (json.loads(backend.get(domain, "/secret").text) for domain in (ONE, OTHER))
    assert not [name for name in one if one[name] == other[name]]


@pytest.mark.parametrize("load", ["file = FILE", "wsgi-file = FILE", "mount = /=FILE"])
def test_the_package_of_an_app_is_imported_by_itself(
    backend: Backend, home: Path, load: str
) -> None:
    """It is installed in the virtual environment, and its file is loaded from there."""
    add_package(packages(home), "mine", "")
    (packages(home) / "mine" / "app.py").write_text(f"import mine\n{APP}")
    own = load.replace("FILE", f"{packages(home)}/mine/app.py")
    for domain in (ONE, OTHER):
        drop(backend, domain, home, own)
        assert told(backend, domain)["pid"]
        sleep(backend, domain)
    [base] = eventually(lambda: bases_of(backend, home), what="a base of its own")
    assert "extra" in base["modules"]
    assert not [name for name in base["modules"] if name.partition(".")[0] == "mine"]


def test_two_tenants_share_nothing_but_the_standard_library(backend: Backend, home: Path) -> None:
    """A module of a virtual environment never runs as another user than that of its app."""
    base = shared(backend, home)
    drop(backend, THIRD, home, user="games")
    seen = told(backend, THIRD)
    assert seen["user"] == pwd.getpwnam("games").pw_uid
    assert seen["imported_by"] != base["pid"], "its own process has imported it"
    assert backend.started(THIRD) == "forked from a base"
    assert told(backend, ONE)["user"] == pwd.getpwnam("nobody").pw_uid


def test_an_installation_is_seen_at_the_next_start(backend: Backend, home: Path) -> None:
    base = shared(backend, home)
    (packages(home) / "extra" / "__init__.py").write_text(EXTRA + "NEW = True\n")
    seen = told(backend, ONE)
    assert seen["imported_by"] != base["pid"], "a file was changed in place"
    (packages(home) / "another.py").write_text("")
    assert told(backend, OTHER)["imported_by"] != base["pid"]
    assert backend.started(OTHER) == f"by exec: packages in {home} have changed"
    eventually(lambda: psutil.pid_exists(base["pid"]) is False, what="its base has ended")
    [new] = eventually(lambda: bases_of(backend, home), what="another one, without a start")
    drop(backend, THIRD, home)
    assert told(backend, THIRD)["imported_by"] == new["pid"]


def test_an_app_fails_while_its_virtual_environment_is_gone(backend: Backend, home: Path) -> None:
    """As by exec, and no module of the base hides that."""
    base = shared(backend, home)
    away = home.rename(home.parent / "away")
    backend.expect("cannot start|exited|failed|crash")
    assert backend.get(ONE).status >= 500
    away.rename(home)
    drop(backend, THIRD, home)
    assert told(backend, THIRD)["imported_by"] != base["pid"]


@pytest.mark.parametrize("late", ["late.py", "half/late.py"], ids=["a module", "in a package"])
def test_what_is_installed_later_is_found(backend: Backend, home: Path, late: str) -> None:
    """An installation was under way when the base was made."""
    add_package(packages(home), "half", "")
    name = late.removesuffix(".py").replace("/", ".")
    with (packages(home) / "half" / "__init__.py").open("a") as file:
        file.write(f"try:\n    import {name} as late\nexcept ImportError:\n    late = None\n")
    app = APP.replace("extra.GREETING", "'late' if half.late else 'none'")
    (home.parent / "app.py").write_text(f"import half\n{app}")
    assert "half" in shared(backend, home)["modules"]
    assert told(backend, ONE)["greeting"] == "none"
    sleep(backend, ONE)
    (packages(home) / late).write_text("")
    assert told(backend, ONE)["greeting"] == "late"


def test_what_the_environment_decides_is_decided_by_each_app(backend: Backend, home: Path) -> None:
    base = shared(backend, home)["pid"]
    for line, greeting, is_of_base in (
        ("env = GREETING=hello", "hello", False),
        ("unenv = GREETING", None, True),
        ("env = UNREAD=hello", None, True),
    ):
        drop(backend, THIRD, home, line)
        seen = told(backend, THIRD)
        assert backend.started(THIRD) == f"forked from a base of {home}"
        assert (seen["greeting"], seen["imported_by"] == base) == (greeting, is_of_base)
        backend.remove(THIRD)
        backend.until(THIRD, None)


@pytest.mark.parametrize(
    "read",
    ["os.environ.get('GREETING')", "os.environb[b'GREETING'].decode()",
     "dict(os.environ).get('GREETING')", "importlib.import_module('extra_reader').GREETING"],
    ids=["one", "bytes", "all", "by another"],
)  # fmt: skip
def test_what_the_code_of_an_app_sets_decides_too(backend: Backend, home: Path, read: str) -> None:
    (packages(home) / "extra_reader.py").write_text(
        "import os\nGREETING = os.environ.get('GREETING')\n"
    )
    with (packages(home) / "extra" / "__init__.py").open("a") as file:
        file.write(f"import importlib\ntry:\n    GREETING = {read}\nexcept KeyError:\n    pass\n")
    shared(backend, home)
    (home.parent / "app.py").write_text("import os\nos.environ['GREETING'] = 'hello'\n" + APP)
    assert told(backend, ONE)["greeting"] == "hello"
    assert backend.started(ONE) == f"forked from a base of {home}"


def test_an_app_may_choose_the_standard_library_alone(backend: Backend, home: Path) -> None:
    base, why = shared(backend, home), "bases = standard"
    text = f"[uwsgi]\nhome = {home}\nfile = {home.parent}/app.py\n[emperor]\nuid = nobody\n"
    backend.drop(THIRD, f"{text}bases = standard\n")
    assert told(backend, THIRD)["imported_by"] != base["pid"]
    assert backend.started(THIRD) == f"forked from a base, and not from one of {home}: {why}"


# What a module does at its import, and why a base must not have it.
BAD = {
    "thread": ("import threading as t\nt.Thread(target=t.Event().wait).start()", "a thread"),
    "process": ("import subprocess\nkept = subprocess.Popen(['sleep', '60'])", "a process"),
    "socket": ("import socket\nkept = socket.socket()", "opens a file or a socket"),
    "network": ("import socket\nsocket.getaddrinfo('localhost', 80)", "the network"),
    "signal": ("import signal\nsignal.signal(signal.SIGUSR2, print)", "signals"),
    "environment": ("import os\nos.environ['CHANGED'] = '1'", "environment"),
    "path": ("import sys\nsys.path.append('/changed')", "found"),
    "random": ("import random\nkept = random.Random(1)", "random numbers of its own"),
    "seed": ("import random\nkept = random.Random().random()", "draws random numbers"),
    "draw": ("import random\nkept = random.random()", "draws from the module random"),
    "secret": ("import secrets\nkept = secrets.token_hex()", "draws random numbers"),
    "getrandom": ("from os import getrandom\nkept = getrandom(8)", "draws random numbers"),
    "tls": ("from ssl import RAND_bytes\nkept = RAND_bytes(8)", "draws random numbers"),
    "uuid1": ("import uuid\nkept = uuid.uuid1()", "draws random numbers"),
    "uuid4": ("import uuid\nkept = uuid.uuid4()", "draws random numbers"),
    "pid": ("import os\nkept = os.getpid()", "its pid"),
    "tid": ("import threading\nkept = threading.get_native_id()", "its pid"),
    "here": ("import os.path\nkept = os.path.abspath('here')", "its folder"),
    "command": ("import sys\nkept = list(sys.argv)", "its command"),
    "words": ("import sys\nkept = sys.orig_argv[1:]", "its command"),
    "fork": ("import os\nos.register_at_fork(before=print)", "at a fork"),
    "audit": ("import sys\nsys.addaudithook(lambda *_: None)", "audit hook"),
    "file": ("kept = open('/etc/hostname').read()", "other files"),
    "folder": ("import tempfile\nkept = tempfile.mkdtemp()", "draws random numbers"),
    "umask": ("import os\nos.umask(0o077)", "umask"),
    "limit": ("import sys\nsys.setrecursionlimit(5000)", "limits of Python"),
    "timeout": ("import socket\nsocket.setdefaulttimeout(3)", "limits of Python"),
    "warnings": ("import warnings\nwarnings.resetwarnings()", "warnings"),
    "log": ("import logging\nlogging.root.setLevel(10)", "log"),
    "hook": ("import threading\nthreading.excepthook = print", "hooks"),
    "json": ("import json\njson.JSONEncoder.default = str", "other modules"),
    "failure": ("raise RuntimeError('never')", "RuntimeError: never"),
    "exit": ("import os\nos._exit(3)", "ends the process"),
    "kill": ("import os, signal\nos.kill(0, signal.SIGKILL)", "ends the process"),
    "needing": ("import bad_thread", "it needs bad_thread"),
    "using": ("import bad_hang", "bad_hang"),
    "hang": ("import time\ntime.sleep(600)", "it takes more than"),
    "hang_too": ("import time\ntime.sleep(600)", "it takes more than"),
    "guarded": ("try:\n    import bad_hang\nexcept ImportError:\n    pass", "needs bad_hang"),
}
# What it may do, although it looks like one of these.
GOOD = {
    # As the settings of Django do.
    "strange": "class Settings:\n    __class__ = property(lambda self: 1 / 0)\nkept = Settings()\n",
    "system_random": "import random\nkept = random.SystemRandom()\n",
    # Of two that import each other, one may fail where it is imported first.
    "second": "import good_first\nname = 1\n",
    "first": "from good_second import name\n",
    "own_file": "kept = open(__file__).read()\n",
    "filter": "import warnings\nwarnings.filterwarnings('ignore', 'much', BytesWarning, 'x.*')\n",
    "appended": "import warnings\nwarnings.simplefilter('ignore', append=True)\n",
}
# A package in which each module would have to be left out by a trial of its own.
CROWD = [f"crowd.one{number}" for number in range(20)]


def test_a_base_does_without_modules_that_a_fork_would_lack(backend: Backend, home: Path) -> None:
    modules = {f"bad_{name}": code for name, (code, _) in BAD.items()}
    modules |= {f"good_{name}": code for name, code in GOOD.items()}
    for name, code in modules.items():
        (packages(home) / f"{name}.py").write_text(f"{code}\n")
    (packages(home) / "crowd").mkdir()
    for name in ("crowd.__init__", *CROWD):
        code = "kept = open('/etc/hostname')\n" if name.endswith("__init__") else ""
        (packages(home) / f"{name.replace('.', '/')}.py").write_text(code)
    app = home.parent / "app.py"
    # The app says that it has imported them all, as a tenant may.
    app.write_text(
        f"import sys, importlib.util\nfor name in {[*CROWD, *modules]}:\n"
        "    spec = importlib.util.find_spec(name)\n"
        "    sys.modules[name] = importlib.util.module_from_spec(spec)\n" + APP
    )
    base = shared(backend, home)
    left_out = {each["module"]: each["why"] for each in base["left_out"]}
    for name, (_, why) in BAD.items():
        assert why in left_out[f"bad_{name}"], name
        assert f"bad_{name}" not in base["modules"]
    assert {"extra", *(f"good_{name}" for name in GOOD)} <= {*base["modules"]}
    assert not {*CROWD} & {*base["modules"]}
    assert told(backend, ONE)["imported_by"] == base["pid"]


FILTERING = """
import warnings
warnings.simplefilter("error", DeprecationWarning)
from filtering import inner
warnings.filterwarnings("ignore", "some .*", UserWarning, "filtering")
warnings.simplefilter("always", ResourceWarning, append=True)
warnings.simplefilter("default", BytesWarning, append=True)
"""
INNER = """
import warnings
warnings.simplefilter("always", ImportWarning)
warnings.simplefilter("always", FutureWarning, append=True)
"""
FILTERED = """
import json, warnings
before = [str(each) for each in warnings.filters]
NAMED = [str(each) for each in warnings.filters]
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    told = {"imported_by": 1, "before": before, "filters": NAMED}
    return [json.dumps(told).encode()]
"""


def test_an_app_gets_the_filters_of_warnings_of_what_it_imports(
    backend: Backend, home: Path
) -> None:
    add_package(packages(home), "filtering", FILTERING)
    (packages(home) / "filtering" / "inner.py").write_text(INNER)
    app = home.parent / "app.py"
    app.write_text(
        FILTERED.replace("NAMED", "import filtering\nafter", 1).replace("NAMED", "after")
    )
    usual = [told(backend, domain) for domain in dropped(backend, home, ONE, OTHER)]
    assert len(usual[0]["filters"]) == len(usual[0]["before"]) + 6
    base = shared(backend, home)
    assert {"filtering", "filtering.inner"} <= {*base["modules"]}
    seen = told(backend, ONE)
    assert backend.started(ONE) == f"forked from a base of {home}"
    assert seen == usual[0], "as without a base"
    app.write_text(FILTERED.replace("NAMED", "after"))
    assert told(backend, OTHER)["filters"] == seen["before"], "it does not import the package"
    assert backend.started(OTHER) == f"forked from a base of {home}"


ENDING = """
import atexit, json
before = atexit._ncallbacks()
MODULE
after = atexit._ncallbacks()
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"imported_by": 1, "added": after - before}).encode()]
"""


def test_an_app_does_at_its_end_what_its_modules_ask_for(backend: Backend, home: Path) -> None:
    add_package(packages(home), "ending", "import atexit\natexit.register(print)\n")
    app = home.parent / "app.py"
    app.write_text(ENDING.replace("MODULE", "import ending"))
    assert "ending" in shared(backend, home)["modules"]
    assert told(backend, ONE)["added"] == 1
    assert backend.started(ONE) == f"forked from a base of {home}"


def test_what_pth_files_do_is_left_to_each_app(backend: Backend, home: Path) -> None:
    (packages(home) / "hostile.pth").write_text("import sys; sys.kept = open('/etc/hostname')\n")
    backend.expect("cannot fork apps from a base of")
    for domain in (ONE, OTHER):
        drop(backend, domain, home)
        assert told(backend, domain)["pid"]
    eventually(lambda: backend.lines("what .pth files run opens a file"), what="the refusal")
    assert not bases_of(backend, home)
    [refused] = backend.call("GET", "/v1/bases")[1]["without_base"]
    assert (refused["home"], refused["user"]) == (str(home), "nobody")
    assert refused["why"].startswith("what .pth files run opens a file")
    sleep(backend, ONE)
    told(backend, ONE)
    why = f"forked from a base, and not from one of {home}: {refused['why']}"
    assert backend.started(ONE) == why


def test_why_says_that_root_has_no_base_of_a_home(backend: Backend, home: Path) -> None:
    drop(backend, ONE, home, user="root")
    assert told(backend, ONE)["user"] == 0
    why = "nothing of it is imported as root"
    assert backend.started(ONE) == f"forked from a base, and not from one of {home}: {why}"


def test_bases_say_why_no_virtual_environment_has_one(start: Callable[..., Backend]) -> None:
    backend = start()
    backend.until_base_is_ready()
    _, answer = backend.call("GET", "/v1/bases")
    assert answer["why_standard"] == "emperord has no STATE_DIRECTORY"


@pytest.mark.parametrize("strike", [signal.SIGKILL, signal.SIGSTOP], ids=lambda each: each.name)
def test_apps_start_without_the_base_of_their_home(
    backend: Backend, home: Path, strike: signal.Signals
) -> None:
    backend.expect("cannot fork apps from a base of")
    base = shared(backend, home)
    os.kill(base["pid"], strike)
    for domain in (ONE, OTHER, THIRD, "fourth.example"):
        drop(backend, domain, home)
        assert told(backend, domain)["pid"]
    eventually(lambda: not bases_of(backend, home), what="it is gone")


def test_a_base_ends_with_its_daemon(backend: Backend, home: Path) -> None:
    base = shared(backend, home)
    assert told(backend, ONE)["imported_by"] == base["pid"]
    backend.crash()
    eventually(lambda: not psutil.pid_exists(base["pid"]), what="its base has ended")
    assert told(backend, ONE)["pid"]
