"""Tells where imports of an app would find modules, for many of them at once and without their
specs.

It answers what the finders in sys.meta_path and sys.path would. It asks a folder for its names once
and remembers them until the folder changes, as FileFinder does.
"""

import os
import sys
from collections.abc import Collection, Iterator
from importlib.machinery import BuiltinImporter, FileFinder, FrozenImporter, PathFinder
from pkgutil import get_importer

# The number of a file, its size, and when its content and its number have changed last, in ns.
Change = tuple[int, int, int, int]
_NO_FILE = (0, 0, 0, 0)
# The size of a folder with a thousand files.
_SMALL_BYTES = 65536
# A trial counts whatever else asks for it (effects.py).
_folder_of_process = os.getcwd


class Search:
    """A search for modules that a base has. `folders` are those in which it has found them: the
    names in each, and when the folder had changed last."""

    def __init__(self) -> None:
        self._own: dict[str, tuple[Change, set[str]]] = {}
        self._listed: dict[str, tuple[Change, set[str]]] = {}

    def add(self, folder: str, name: str) -> None:
        """The base has found that module there."""
        if folder not in self._own:
            self._names_in(folder)
            self._own[folder] = (changed(folder), set())
        self._own[folder][1].add(name)

    def finds_none(self, names: set[str]) -> bool:
        """Whether an import would find none of these, as the base did not."""
        if not names:
            return True
        if not names.isdisjoint(sys.modules) or not _is_left_to_folders(names):
            return False
        return not any(self._has_any(folder, names) for folder in _folders())

    def finds_all(self, names: Collection[str]) -> bool:
        """Whether an import of each of these would find what the base has found."""
        if not _is_left_to_folders(names):
            return False
        missing = {*names}
        for folder in _folders():
            when, own = self._own.get(folder, (_NO_FILE, set()))
            is_unchanged = when != _NO_FILE and when == changed(folder)
            if is_unchanged:
                missing -= own
            if not missing:
                return True
            if self._has_any(folder, missing):
                return False
        return not missing

    def _has_any(self, folder: str, names: Collection[str]) -> bool:
        finder = get_importer(folder)
        if finder is None:
            return False
        asked = self._names_in(folder).intersection(names) if _can_list(finder, folder) else names
        specs = map(finder.find_spec, asked)
        # A folder without __init__.py counts only if nothing else is found.
        return any(spec is not None and spec.loader is not None for spec in specs)

    def _names_in(self, folder: str) -> set[str]:
        """What stands before the first dot in the names of all files there."""
        when = changed(folder)
        if when != self._listed.get(folder, (_NO_FILE, set()))[0]:
            try:
                names = os.listdir(folder)
            except OSError:
                names = []
            self._listed[folder] = (when, {name.partition(".")[0] for name in names})
        return self._listed[folder][1]


def _folders() -> Iterator[str]:
    """What the entries of sys.path mean."""
    here = _folder_of_process()
    return (here if entry in ("", ".") else entry for entry in sys.path)


def _is_left_to_folders(names: Collection[str]) -> bool:
    """Whether no other finder than that of sys.path finds one of them."""
    for finder in sys.meta_path:
        if finder is PathFinder:
            return True
        if finder not in (BuiltinImporter, FrozenImporter):
            find_spec = getattr(finder, "find_spec", None)
            if find_spec is not None and any(find_spec(name, None) for name in names):
                return False
    return False


def _can_list(finder: object, folder: str) -> bool:
    """Whether it finds by the names of files, and a list of them costs less than to look for each
    name. (The finder of emperor/uwsgi/before_app.py lists no folder without need: it may be that of
    10,000 inis.)"""
    if type(finder) is FileFinder or hasattr(finder, "store"):
        return True
    try:
        return isinstance(finder, FileFinder) and os.stat(folder).st_size <= _SMALL_BYTES
    except OSError:
        return False


def changed(path: str) -> Change:
    """The state of that file or folder, which is another one after each change; all 0 for none."""
    try:
        found = os.stat(path)
    except OSError:
        return _NO_FILE
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
