"""What it costs a cold start to keep an app apart from others: its user, control group and limits,
against an app of root's on a machine where nobody can make control groups."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count

from docs.figures import Limit
from tests.backend import ungrouped
from tests.bench.apps import FRAMEWORKS, copy_apps, virtualenv
from tests.bench.knock import uwsgi_first_byte
from tests.bench.ours import Ours
from tests.bench.place import TMPFS, place
from tests.bench.report import Row, row
from tests.bench.rounds import ROUNDS, Bench

_APPS = ("trivial", "Flask")
# Without control groups there are no bases.
_BY_EXEC = "[emperor]\nbases = off\n"
_APART = "uid = nobody\nmemory-max = 1G\npids-max = 100\ncpu-max = 200%\n"
_LIMIT = Limit(3.0)


def kept_apart(bench: Bench) -> Iterator[Row]:
    """Measure both in pairs, from connect() on the listener to the first byte of the answer."""
    with ExitStack() as stack:
        starts = {
            "ours": _starts(stack, _BY_EXEC + _APART, []),
            "not kept apart": _starts(stack, _BY_EXEC, ungrouped()),
        }
        for app in _APPS:
            what = f"cold start, {app}, with a user, control group and limits"
            sides = {name: start(app) for name, start in starts.items()}
            took = bench.paired(what, sides)
            yield row(what, "ms", took)
            over = [ours - theirs for ours, theirs in zip(*took.values(), strict=True)]
            yield row(f"{what}, over one without", "ms", {"ours": over}, _LIMIT)


def _starts(
    stack: ExitStack, settings: str, under: list[str]
) -> Callable[[str], Callable[[], float]]:
    """A daemon whose apps have these settings. For the name of an app, what starts one and tells
    the seconds that it took."""
    folder = stack.enter_context(place())
    (folder / "run").symlink_to(stack.enter_context(place(TMPFS)))
    apps, home = copy_apps(folder), virtualenv(folder)
    daemon = Ours(folder)
    daemon.under = under
    for app in _APPS:
        for number in range(ROUNDS + 1):
            domain = f"{FRAMEWORKS[app]}{number}.localhost"
            daemon.drop(domain, daemon.ini(domain, str(apps[app]), virtualenv=str(home)) + settings)
    stack.enter_context(daemon)

    def starts(app: str) -> Callable[[], float]:
        numbers = count()

        def start() -> float:
            domain = f"{FRAMEWORKS[app]}{next(numbers)}.localhost"
            return uwsgi_first_byte(daemon.listener(domain), domain)

        return start

    return starts
