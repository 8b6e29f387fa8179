"""A cold start: from connect() on the listener to the first byte of the answer."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path

from docs.figures import Limit
from emperor.bases.standard_library import MODULES
from tests.backend import with_state
from tests.bench.apps import FRAMEWORKS, copy_apps, ini, virtualenv
from tests.bench.knock import http_first_byte, uwsgi_first_byte
from tests.bench.ours import Ours
from tests.bench.place import TMPFS, place
from tests.bench.report import Row, row
from tests.bench.rivals import Bare, Incumbent, PlainFork, PlainNginx
from tests.bench.rounds import ROUNDS, Bench

_STARTS = ROUNDS + 1
_BY_EXEC = "exec-"
# The folder of the sockets of apps without an emperor.
_BARE = "bare"
# Of a base that has imported the standard library alone, to a bare uWSGI.
_LIMITS = {"trivial": 0.37, "Flask": 0.45, "Django": 0.50}
_LIMIT_BY_EXEC = 1.02
# Of a base of their virtual environment. The trivial app imports nothing of it.
_LIMITS_AT_HOME = {"Flask": 0.11, "Django": 0.16}
# Each has a base of its own.
_USERS = {"Flask": "nobody", "Django": "games"}
_ENOUGH_APPS = 2
# A fork without all that keeps apps apart.
_PLAIN_FORK = "a plain fork"
_TELL_IMPORTS = """\
import sys
before = {*sys.modules}
sys.path.insert(0, ".")
import application
print("\\n".join(sys.modules.keys() - before - {"application"}))
"""
# A base makes up for a spare that it has given away, and the spare prepares itself.
_ALONE_SECONDS = 1.5


class Stand:
    """Sleeping apps, the same ones with emperord, forked and by exec, uWSGI's Emperor and bare
    uWSGI. Each domain is started once, so that no app has to be put to sleep again. `stack` ends
    all of them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._apps, home = copy_apps(folder), virtualenv(folder)
        _have_run_dir_in_memory(folder, stack)
        self.ours = Ours(folder, bases="auto")
        self.incumbent = Incumbent(folder)
        domains = [(app, self._domain(app, n)) for app in FRAMEWORKS for n in range(_STARTS)]
        for app, domain in domains:
            text = self.ours.ini(domain, str(self._apps[app]), virtualenv=str(home))
            self.ours.drop(domain, text)
            exec_domain = f"{_BY_EXEC}{domain}"
            text = self.ours.ini(exec_domain, str(self._apps[app]), virtualenv=str(home))
            self.ours.drop(exec_domain, f"{text}[emperor]\nbases = off\n")
            self.incumbent.drop(domain, ini(self._apps[app], home=home))
        self.plain = PlainNginx(folder, folder / _BARE)
        for side in (self.ours, self.incumbent, self.plain):
            stack.enter_context(side)
        self.fork = stack.enter_context(PlainFork(home / "bin" / "python", MODULES))
        for _, domain in domains:
            self.incumbent.until_listening(domain)

    def fresh(self, app: str) -> Callable[[], str]:
        """A function that returns the next unused domain of an app."""
        numbers = count()
        return lambda: self._domain(app, next(numbers))

    def bare(self, app: str, fork: PlainFork | None = None) -> Bare:
        """The app without an emperor, behind `plain`, or as such a fork."""
        return _without_emperor(self.ours, f"{_BY_EXEC}{self._domain(app, 0)}", fork)

    @staticmethod
    def _domain(app: str, number: int) -> str:
        return f"{FRAMEWORKS[app]}{number}.localhost"


def on_the_listener(bench: Bench) -> Iterator[Row]:
    """Measure with a client that speaks the uwsgi protocol to the app's socket."""
    with place() as folder, ExitStack() as stack:
        stand = Stand(folder, stack)
        for app in FRAMEWORKS:
            our, their = stand.fresh(app), stand.fresh(app)
            sides = {
                "ours": lambda our=our: _knock(stand.ours.listener, _BY_EXEC + our()),
                "bare uWSGI": lambda app=app: _bare(stand.bare(app)),
                "Emperor": lambda their=their: _knock(stand.incumbent.listener, their()),
            }
            what = f"cold start, {app}"
            limit = Limit(_LIMIT_BY_EXEC, over="bare uWSGI")
            yield row(what, "ms", bench.paired(what, sides), limit)
            forked = stand.fresh(app)
            sides = {
                "ours": lambda forked=forked: _knock_alone(stand.ours.listener, forked()),
                "bare uWSGI": lambda app=app: _bare(stand.bare(app)),
                _PLAIN_FORK: lambda app=app: _bare(stand.bare(app, stand.fork)),
            }
            what = f"cold start from a base, {app}"
            limit = Limit(_LIMITS[app], over="bare uWSGI")
            yield row(what, "ms", bench.paired(what, sides), limit)


class HomeStand:
    """Sleeping apps of emperord that have a base of their virtual environment, and bare uWSGI."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._apps, self._home = apps, home = copy_apps(folder), virtualenv(folder)
        _have_run_dir_in_memory(folder, stack)
        self.ours = Ours(folder)
        self.ours.under = with_state(folder)
        for app, user in _USERS.items():
            for number in range(_STARTS + _ENOUGH_APPS):
                domain = self._domain(app, number)
                text = self.ours.ini(domain, str(apps[app]), virtualenv=str(home))
                self.ours.drop(domain, f"{text}[emperor]\nuid = {user}\n")
        stack.enter_context(self.ours)

    def make_base(self, app: str) -> None:
        """Start the apps that make a base worth it, and wait for that."""
        for number in range(_ENOUGH_APPS):
            _knock(self.ours.listener, self._domain(app, number))
        self.ours.until_base_of(_USERS[app])

    def fresh(self, app: str) -> Callable[[], str]:
        """A function that returns the next unused domain of an app."""
        numbers = count(_ENOUGH_APPS)
        return lambda: self._domain(app, next(numbers))

    def bare(self, app: str, fork: PlainFork | None = None) -> Bare:
        """The app without an emperor, or as such a fork."""
        return _without_emperor(self.ours, self._domain(app, 0), fork)

    def plain_fork(self, app: str) -> PlainFork:
        """A plain interpreter that has imported all that the app imports."""
        python = self._home / "bin" / "python"
        command = [str(python), "-c", _TELL_IMPORTS]
        told = subprocess.run(
            command, cwd=self._apps[app].parent, capture_output=True, text=True, check=True
        )
        return PlainFork(python, told.stdout.split())

    @staticmethod
    def _domain(app: str, number: int) -> str:
        return f"home-{FRAMEWORKS[app]}{number}.localhost"


def from_a_base_of_their_home(bench: Bench) -> Iterator[Row]:
    """Measure as on_the_listener does, where a base has imported the framework, too."""
    with place() as folder, ExitStack() as stack:
        stand = HomeStand(folder, stack)
        for app in _USERS:
            stand.make_base(app)
            our = stand.fresh(app)
            what = f"cold start from a base of its virtualenv, {app}"
            limit = Limit(_LIMITS_AT_HOME[app], over="bare uWSGI")
            with stand.plain_fork(app) as fork:
                forked = partial(stand.bare, app, fork)
                sides = {
                    "ours": lambda our=our: _knock_alone(stand.ours.listener, our()),
                    "bare uWSGI": lambda app=app: _bare(stand.bare(app)),
                    _PLAIN_FORK: lambda forked=forked: _bare(forked()),
                }
                yield row(what, "ms", bench.paired(what, sides), limit)


def through_nginx(bench: Bench) -> Iterator[Row]:
    """Measure with an HTTP client. emperord's way is the fallback, the hold and X-Accel-Redirect;
    the rival is nginx that waits in the queue of the app's socket."""
    with place() as folder, ExitStack() as stack:
        stand = Stand(folder, stack)
        for app in FRAMEWORKS:
            our = stand.fresh(app)
            sides = {
                "ours": lambda our=our: http_first_byte(stand.ours.port, _BY_EXEC + our()),
                "bare uWSGI": lambda app=app: _bare(stand.bare(app), stand.plain.port),
            }
            what = f"cold start through nginx, {app}"
            yield row(what, "ms", bench.paired(what, sides))


def _have_run_dir_in_memory(folder: Path, stack: ExitStack) -> None:
    """Put the run-dir into memory, as /run is on Debian."""
    (folder / "run").symlink_to(stack.enter_context(place(TMPFS)))


def _knock_alone(listener: Callable[[str], Path], domain: str) -> float:
    """Knock when no app was started for a moment, as for most starts in production."""
    time.sleep(_ALONE_SECONDS)
    return _knock(listener, domain)


def _knock(listener: Callable[[str], Path], domain: str) -> float:
    return uwsgi_first_byte(listener(domain), domain)


def _without_emperor(ours: Ours, domain: str, fork: PlainFork | None) -> Bare:
    """The app of a domain of emperord's that has started by then, since uWSGI binds the socket that
    its ini names too."""
    spawn = fork.spawn if fork else None
    socket = ours.folder / _BARE / f"{domain}.socket"
    return Bare(ours.vassals / f"{domain}.ini", socket, spawn)


def _bare(bare: Bare, port: int | None = None) -> float:
    with bare:
        if port is None:
            return uwsgi_first_byte(bare.path, bare.path.stem, bare.start)
        return http_first_byte(port, bare.path.stem, bare.start)
