"""Notes which modules each module imports at its own import, and which filters of warnings it adds.

It imports nothing that Python has not loaded by itself: what is imported before it is there would
not be noted.
"""

import builtins
import sys

MYPY = False  # typing is not loaded yet
if MYPY:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from types import FrameType, ModuleType
    from typing import Any, TypeAlias

    # action, message, category, module and line, as in warnings.filters
    Filter: TypeAlias = tuple[str, Any, Any, Any, int]

_MACHINERY = ("importlib._bootstrap", "_frozen_importlib")


class Needs:
    """The modules that each module has imported, and its filters of warnings."""

    def __init__(self) -> None:
        self._of: dict[str, set[str]] = {}
        # Those that were not found, without those of a package, which cannot come from elsewhere.
        self.missing: set[str] = set()
        # Of each module, those parts of packages that it has looked for in vain.
        self._missing_parts: dict[str, set[str]] = {}
        self._importing: list[str] = []
        self._filters: Callable[[], Sequence[Filter]] = lambda: ()
        self._all_filters: list[Filter] = []
        self._added_by: dict[int, str] = {}
        self._appended: set[int] = set()
        self._original: Callable[..., ModuleType] = builtins.__import__

    def of(self, name: str) -> "set[str]":
        """What the module of that name has imported while it was imported itself, and its
        package."""
        return self._of.get(name, set())

    def missing_parts_of(self, names: "Collection[str]") -> "set[str]":
        """The parts of packages that these modules have looked for in vain."""
        found: set[str] = set()
        return found.union(
            *(self._missing_parts[each] for each in self._missing_parts.keys() & names)
        )

    def filters_of(self, names: "Collection[str]") -> "list[Filter]":
        """The filters of warnings that these modules have put before all others, the earliest
        first."""
        return [each for each in self._added(names) if id(each) not in self._appended][::-1]

    def appended_by(self, names: "Collection[str]") -> "list[Filter]":
        """The filters that these modules have put after all others, the earliest first."""
        return [each for each in self._added(names) if id(each) in self._appended]

    def _added(self, names: "Collection[str]") -> "list[Filter]":
        return [each for each in self._all_filters if self._added_by[id(each)] in names]

    def begin(self, filters: "Callable[[], Sequence[Filter]]" = lambda: ()) -> None:
        """Note all imports from now on. `filters` are those of warnings."""
        self._filters = filters
        self._original, builtins.__import__ = builtins.__import__, self._import

    def end(self) -> None:
        """Note no more imports."""
        builtins.__import__ = self._original
        self._all_filters = [each for each in self._filters() if id(each) in self._added_by]
        for name, needed in self._of.items():
            if package := name.rpartition(".")[0]:
                needed.add(package)

    def follow(
        self, on_begin: "Callable[[str], object]", on_end: "Callable[[str], object]"
    ) -> None:
        """Tell from now on of each import of a module that is not there yet."""
        original = self._original

        def told(*arguments: "Any") -> "ModuleType":
            name = self._importing[-1]
            if name in sys.modules:
                return original(*arguments)
            on_begin(name)
            try:
                return original(*arguments)
            finally:
                on_end(name)

        self._original = told

    def _import(  # with the names of the arguments of __import__
        self,
        name: str,
        globals: "Mapping[str, Any] | None" = None,  # noqa: A002
        locals: "Mapping[str, Any] | None" = None,  # noqa: A002
        fromlist: "Sequence[str] | None" = (),
        level: int = 0,
    ) -> "ModuleType":
        importer, wanted = self.importer(sys._getframe(1)), _absolute(name, globals, level)
        package = wanted.rpartition(".")[0]
        if package and package not in sys.modules:
            # A package may put modules into sys.modules, as collections does since Python 3.13.
            self._import(package)
        before, filters = set(sys.modules), [*self._filters()]
        self._importing.append(wanted)
        try:
            return self._original(name, globals, locals, fromlist or (), level)
        except ModuleNotFoundError as error:
            if error.name == wanted and "." not in wanted:
                self.missing.add(wanted)
                self._of.setdefault(importer, set()).add(wanted)
            elif error.name == wanted:
                self._missing_parts.setdefault(importer, set()).add(wanted)
            raise
        finally:
            self._importing.pop()
            # A module in C, or one that calls importlib, imports without a statement.
            new = sys.modules.keys() - before
            self._note_filters(wanted, filters)
            self._of.setdefault(wanted, set()).update(new - {wanted})
            for item in _not_there(wanted, fromlist or ()):
                self._missing_parts.setdefault(importer, set()).add(item)
            named = {wanted, *(f"{wanted}.{item}" for item in fromlist or ())}
            self._of.setdefault(importer, set()).update(new | (named & sys.modules.keys()))

    def _note_filters(self, name: str, before: "Collection[Filter]") -> None:
        """A filter is put before or after all others. What the module has imported has noted its
        own."""
        known, is_after = {*map(id, before)}, False
        for each in self._filters():
            if id(each) in known:
                is_after = True
                continue
            self._added_by.setdefault(id(each), name)
            if is_after:
                self._appended.add(id(each))

    def importer(self, frame: "FrameType | None") -> str:
        """The module that is imported just now and has led to what is done in that frame, be it by
        a function of another module. Empty for none."""
        while frame is not None:
            name = str(frame.f_globals.get("__name__"))
            if name.startswith(_MACHINERY):  # a module in C
                return self._importing[-1] if self._importing else ""
            if _is_being_imported(name):
                return name
            frame = frame.f_back
        return ""


def _not_there(package: str, items: "Sequence[str]") -> "list[str]":
    """What a package is asked for and lacks: a part of it may be installed later."""
    # What stands in sys.modules may be no module, or None.
    variables = getattr(sys.modules.get(package), "__dict__", {})
    is_package = "__path__" in variables
    return [f"{package}.{item}" for item in items if is_package and item not in variables]


def _is_being_imported(name: str) -> bool:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


def _absolute(name: str, variables: "Mapping[str, Any] | None", level: int) -> str:
    """The name without leading dots, as importlib resolves it."""
    if not level or variables is None:
        return name
    own = str(variables.get("__name__", ""))
    is_package = "__path__" in variables
    package = str(variables.get("__package__") or (own if is_package else own.rpartition(".")[0]))
    for _ in range(level - 1):
        package = package.rpartition(".")[0]
    return f"{package}.{name}" if name else package
