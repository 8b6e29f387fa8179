"""Which of the apps that an ini names uWSGI takes, where it names several.

uWSGI loads them in an order of its own: modules, files and so on, then what is mounted. It skips an
app for a path that has one already, and goes on where a module or a file cannot be loaded. It gives
up where it finds no app at all, and where something else fails (uwsgi_python_init_apps of
plugins/python/python_plugin.c, and the loaders of pyloader.c).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from emperor.uwsgi.findings import Finding, Severity, is_of_uwsgi
from emperor.uwsgi.ini import Ini, Option
from emperor.uwsgi.spec import MOUNTED_FILES
from emperor.uwsgi.urls import is_url

MOUNTS = frozenset({"mount", "worker-mount"})
# In the order of uWSGI. Of the keys in a group the last option counts.
_ORDER = (
    ("module", "wsgi"), ("file", "wsgi-file"), ("pecan",), ("paste", "ini-paste"), ("eval",),
    ("web3",), ("pump",), ("wsgi-lite",),
)  # fmt: skip
_GOES_ON = frozenset({"module", "wsgi", "file", "wsgi-file", "web3", "pump", "wsgi-lite"})
_FAILS = ", so the app does not start"


@dataclass(frozen=True, slots=True)
class NamedApp:
    """An app by its option: the path that it is for, what it is, and whether uWSGI goes on where it
    cannot be loaded."""

    option: Option
    path: str
    target: str
    may_fail: bool


def apps_in(ini: Ini) -> Iterator[NamedApp]:
    """The apps in Python, in the order in which uWSGI loads them."""
    for keys in _ORDER:
        if option := ini.last_of(keys):
            may_fail = option.key in _GOES_ON and not is_url(option.value)
            yield NamedApp(option, "", option.value, may_fail)
    for option in ini.options:
        path, equals, target = option.value.partition("=")
        is_file = target.endswith(MOUNTED_FILES)
        if option.key in MOUNTS and equals and (is_file or ":" in target):
            yield NamedApp(option, path, target, not is_file)


def without_spared(ini: Ini, found: Sequence[Finding]) -> list[Finding]:
    """`found`, with a warning in place of an error about an app that uWSGI can do without, since it
    loads another one."""
    failing = {
        each.line for each in found if each.severity is Severity.ERROR and not is_of_uwsgi(each)
    }
    taken: dict[str, Option] = {}
    spared: set[int] = set()
    for app in apps_in(ini):
        if app.option.line in failing and (app.path in taken or app.may_fail):
            spared.add(app.option.line)
        elif app.option.line not in failing:
            taken.setdefault(app.path, app.option)
    if not taken:
        return list(found)
    other = next(iter(taken.values()))
    return [_spared(each, other) if each.line in spared else each for each in found]


def _spared(finding: Finding, other: Option) -> Finding:
    if finding.severity is not Severity.ERROR:
        return finding
    text = f"{finding.text.removesuffix(_FAILS)}, so uWSGI takes {other.key} = {other.value} alone"
    return replace(finding, severity=Severity.WARNING, text=text)
