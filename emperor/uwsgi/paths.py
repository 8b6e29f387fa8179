"""Finds the paths of an ini that do not exist, for `emperorctl check`.

uWSGI starts in the folder of the ini, writes `pidfile` there, and enters `chdir` before it does
anything else (measured). There is no finding about a path that only uWSGI can resolve, or that we
may not look at.
"""

import os
from collections.abc import Iterator

from emperor.model.spec import Spec
from emperor.uwsgi.ini import Ini, Option
from emperor.uwsgi.lint import Finding, Severity
from emperor.uwsgi.options import Adoption, uwsgi_options

_APPS = frozenset({"file", "wsgi-file"})  # the last one of both counts
_PIDFILES = ("pidfile", "pidfile2", "safe-pidfile", "safe-pidfile2")
_REFERENCES = ("%(", "$(", "@(", "://")


def missing_paths(ini: Ini, spec: Spec, folder: str) -> Iterator[Finding]:
    """A warning for each path that the app cannot start without; `folder` is the ini's own."""
    last = {option.key: option for option in ini.options}
    chdir = last.get("chdir")
    start = _resolved(chdir, folder) if chdir else folder
    if chdir and start and not _exists(f"{start}/."):
        yield _missing(chdir, f"folder {start}, where the app is to start", "make it")
        start = None
    apps = [option for option in ini.options if option.key in _APPS]
    if apps and (path := _resolved(apps[-1], start)) and not _exists(path):
        yield _missing(apps[-1], f"{path}, so the app does not start", _cure(apps[-1], path))
    for key in _PIDFILES:
        base = folder if key == "pidfile" else start
        # uWSGI takes an adoption by name for a reload, and writes no pidfile then.
        if key not in last or uwsgi_options(spec).adoption is Adoption.BY_NAME:
            continue
        if (path := _resolved(last[key], base)) and not _exists(os.path.dirname(path)):
            where = f"folder {os.path.dirname(path)} for its {key}, so the app does not start"
            yield _missing(last[key], where, f"make it, or drop {key}")


def _resolved(option: Option, folder: str | None) -> str | None:
    """The path that the option names, seen from `folder`; None where only uWSGI knows."""
    if any(reference in option.value for reference in _REFERENCES):
        return None
    if folder is None and not option.value.startswith("/"):
        return None
    return os.path.join(folder or "/", option.value)


def _exists(path: str) -> bool:
    """Whether the path exists, or may exist where we are not allowed to look."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        return True
    return True


def _cure(option: Option, path: str) -> str:
    file, colon, name = path.rpartition(":")
    if colon and _exists(file):
        return f"write {option.key} = {option.value.rpartition(':')[0]}, and callable = {name}"
    return f"mend {option.key}, or put the file there"


def _missing(option: Option, what: str, cure: str) -> Finding:
    return Finding(option.line, Severity.WARNING, f"there is no {what}", cure)
