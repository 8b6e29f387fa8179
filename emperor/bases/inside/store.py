"""Keeps the modules that a base has imported, and gives them to the imports of an app.

An import searches as in any Python. Where it finds the very file of a kept module, and would find
those of all modules that this one has imported, the app gets what the base has imported. Otherwise
Python imports the module anew. So an app finds its own `secrets.py`, in whatever folder of sys.path
it is, and so does each module of the standard library that needs it.
"""

import os
import re
import sys
from collections.abc import Callable, Collection, Iterable
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
)
from types import ModuleType

from emperor.bases.inside.exits import Exits
from emperor.bases.inside.needs import Needs
from emperor.bases.inside.reads import Reads
from emperor.bases.inside.search import Change, Search, changed

# Python has these in itself, and searches for them nowhere else.
_WITHOUT_FILE = ("built-in", "frozen")
_OURS = "emperor"
# The clock of a file system is behind by so much.
_TICK_NS = 20_000_000
_NEVER = (-1, 0, 0, 0)


class Store:
    """The kept modules."""

    def __init__(self, needs: Needs, reads: Reads) -> None:
        self.needs, self.reads, self.exits = needs, reads, Exits(needs)
        self._search = Search()
        self._kept: dict[str, ModuleType] = {}
        self._specs: dict[str, ModuleSpec] = {}
        # Of each package, the submodules that Python has made attributes of it.
        self._attributes: dict[str, set[str]] = {}
        # When the files of modules had changed last that may change.
        self._changed: dict[str, Change] = {}
        # Parts of packages that are there, although a module found another thing in their place.
        self._present: set[str] = set()
        self._given: dict[str, list[str]] = {}
        # What an app calls when uWSGI has read its ini.
        self.forked: Callable[[], object] = lambda: None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all modules, kept or loaded."""
        return tuple(sorted({*self._kept, *sys.modules}))

    def put_away(self, loaded_by_python: Iterable[str], begun: int | None = None) -> None:
        """Take from sys.modules what a Python that has just started has not loaded. `begun` is when
        the imports began, in ns, if others than an upgrade of the system may change the files."""
        start = {*loaded_by_python}
        new = {
            name: module for name, module in sys.modules.items()
            if name not in start and _is_searched_for(name, module)
        }  # fmt: skip
        for name, module in new.items():
            del sys.modules[name]
            if not name.startswith(_OURS):
                is_known = self._kept.get(name) is module
                self._keep(name, module)
                if begun is not None and not is_known and name in self._specs:
                    self._changed[name] = changed(self._specs[name].origin or "")
                    if max(self._changed[name][2:]) >= begun - _TICK_NS:
                        self._changed[name] = _NEVER  # perhaps after it was read
        sought = self.needs.missing_parts_of(self._changed)
        self._present = {part for part in sought if self._is_there(part)}
        for name, spec in self._specs.items():
            if "." not in name:
                self._search.add(_folder(spec), name)
        for folder in {*map(_folder, self._specs.values())}:
            finder = sys.path_importer_cache.get(folder)
            if type(finder) is FileFinder:
                finder.__class__ = StoreFinder
                vars(finder)["store"] = self

    def _keep(self, name: str, module: ModuleType) -> None:
        self._kept[name] = module
        spec = _spec(module)
        if spec is not None and spec.name == name:
            self._specs[name] = spec
        package, _, attribute = name.rpartition(".")
        parent = self._kept.get(package) or sys.modules.get(package)
        if parent is not None and vars(parent).get(attribute) is module:
            self._attributes.setdefault(package, set()).add(name)

    def is_from(self, name: str, origin: str | None) -> bool:
        """Whether a module of that name is kept that has come from that file."""
        return name in self._specs and self._specs[name].origin == origin

    def give(self, name: str) -> ModuleType | None:
        """The kept module for an import; None where the app has to import it anew."""
        closure = self._closure(name)
        if closure is None:
            return None
        self._given[name] = closure
        return self._kept[name]

    def complete(self, name: str, module: ModuleType) -> bool:
        """Load with a module what it needs. Whether it was given."""
        closure = self._given.pop(name, None)
        if closure is None:
            return False
        module.__spec__ = self._specs[name]
        for each in closure:
            sys.modules[each] = self._kept[each]
        for each in closure:
            self._show_submodules(each)
            package, _, attribute = each.rpartition(".")
            if each in self._attributes.get(package, ()):
                setattr(sys.modules[package], attribute, sys.modules[each])
        self._filter_warnings(closure)
        self.exits.add(closure)
        return True

    def _filter_warnings(self, names: Collection[str]) -> None:
        """Add the filters that these modules have added in the base."""
        first, last = self.needs.filters_of(names), self.needs.appended_by(names)
        for filters, append in ((first, False), (last, True)):
            for action, message, category, where, line in filters:
                sys.modules["warnings"].filterwarnings(
                    action, _pattern(message), category, _pattern(where), line, append
                )

    def _show_submodules(self, package: str) -> None:
        """Have a package show those that are loaded, and no others."""
        for each in self._attributes.get(package, ()):
            if each not in sys.modules:
                vars(sys.modules[package]).pop(each.rpartition(".")[2], None)

    def _closure(self, name: str) -> list[str] | None:
        """The module `name` and what it needs that is not loaded yet; None where the app has
        another module in the place of one of these."""
        closure, pending, seen = [name], [name], {name}
        missing: set[str] = set()
        while pending:
            for needed in self.needs.of(pending.pop()) - seen:
                seen.add(needed)
                kept = self._kept.get(needed)
                if kept is not None and sys.modules.get(needed) is kept:
                    continue
                # What Python has in itself may need what it does not.
                pending.append(needed)
                if needed in self.needs.missing:
                    missing.add(needed)
                if kept is not None:
                    if needed in sys.modules:
                        return None
                    closure.append(needed)
        # A package is in the closure of its modules.
        searched = [each for each in closure if "." not in each and each in self._specs]
        is_same = self._search.finds_all(searched) and self._search.finds_none(missing)
        is_same = is_same and self.reads.are_alike(closure) and self._are_fresh(closure)
        return closure if is_same else None

    def _are_fresh(self, names: Iterable[str]) -> bool:
        """Whether their files are those that the base has read, and no other one has come."""
        may_change = self._changed.keys() & names
        return all(
            changed(self._specs[name].origin or "") == self._changed[name] for name in may_change
        ) and not any(
            part not in self._present and self._is_there(part)
            for part in self.needs.missing_parts_of(may_change)
        )

    def _is_there(self, part: str) -> bool:
        """Whether that part of a package can be imported now."""
        package, _, name = part.rpartition(".")
        spec = self._specs.get(package)
        folders = (spec.submodule_search_locations if spec is not None else None) or ()
        return any(
            os.path.exists(f"{folder}/{name}{suffix}")
            for folder in folders
            for suffix in ("", *SOURCE_SUFFIXES, *EXTENSION_SUFFIXES)
        )


class StoreFinder(FileFinder):
    """Finds what FileFinder finds, in a folder of kept modules."""

    store: Store

    def find_spec(self, fullname: str, target: ModuleType | None = None) -> ModuleSpec | None:
        """The spec, whose loader gives the kept module."""
        spec = super().find_spec(fullname, target)
        if spec is not None and self.store.is_from(fullname, spec.origin):
            loader = _KEPT.get(type(spec.loader))
            if loader is not None:
                spec.loader.__class__ = loader
                vars(spec.loader)["store"] = self.store
        return spec


class KeptSourceLoader(SourceFileLoader):
    """Gives a module written in Python."""

    store: Store

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """The kept module."""
        return self.store.give(self.name) or super().create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module, unless it was executed in the base."""
        if not self.store.complete(self.name, module):
            super().exec_module(module)


class KeptExtensionLoader(ExtensionFileLoader):
    """Gives a module written in C."""

    store: Store

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The kept module."""
        return self.store.give(self.name) or super().create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module, unless it was executed in the base."""
        if not self.store.complete(self.name, module):
            super().exec_module(module)


_KEPT: dict[type, type] = {
    SourceFileLoader: KeptSourceLoader,
    ExtensionFileLoader: KeptExtensionLoader,
}


def _spec(module: ModuleType) -> ModuleSpec | None:
    # What stands in sys.modules may be no module.
    spec: ModuleSpec | None = getattr(module, "__spec__", None)
    return spec


def _pattern(compiled: re.Pattern[str] | None) -> str:
    """What filterwarnings() is told, which compiles it."""
    return compiled.pattern if compiled is not None else ""


def _is_searched_for(name: str, module: ModuleType) -> bool:
    spec, package = _spec(module), sys.modules.get(name.rpartition(".")[0])
    if name == "__main__":
        return False
    if spec is None or spec.name != name:  # another name of a module, as os.path
        return package is None or _is_searched_for(name.rpartition(".")[0], package)
    return spec.origin not in _WITHOUT_FILE


def _folder(spec: ModuleSpec) -> str:
    """The folder in which the module was found, which is an entry of a path."""
    origin = spec.origin or ""
    folder = origin.rpartition("/")[0]
    return folder.rpartition("/")[0] if spec.submodule_search_locations is not None else folder
