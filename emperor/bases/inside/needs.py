"""Notes which modules each module imports at its own import.

It imports nothing that Python has not loaded by itself: what is imported before it is there would
not be noted.
"""

import builtins
import sys

MYPY = False  # typing is not loaded yet
if MYPY:
    from collections.abc import Mapping, Sequence
    from types import FrameType, ModuleType
    from typing import Any

_MACHINERY = ("importlib._bootstrap", "_frozen_importlib")


class Needs:
    """The modules that each module has imported."""

    def __init__(self) -> None:
        self._of: dict[str, set[str]] = {}
        # Those that were not found, without those of a package, which cannot come from elsewhere.
        self.missing: set[str] = set()
        self._importing: list[str] = []
        self._original = builtins.__import__

    def of(self, name: str) -> "set[str]":
        """What the module of that name has imported while it was imported itself, and its
        package."""
        return self._of.get(name, set())

    def begin(self) -> None:
        """Note all imports from now on."""
        self._original, builtins.__import__ = builtins.__import__, self._import

    def end(self) -> None:
        """Note no more."""
        builtins.__import__ = self._original
        for name, needed in self._of.items():
            if package := name.rpartition(".")[0]:
                needed.add(package)

    def _import(  # with the names of the arguments of __import__
        self,
        name: str,
        globals: "Mapping[str, Any] | None" = None,  # noqa: A002
        locals: "Mapping[str, Any] | None" = None,  # noqa: A002
        fromlist: "Sequence[str] | None" = (),
        level: int = 0,
    ) -> "ModuleType":
        importer, wanted = self._importer(), _absolute(name, globals, level)
        package = wanted.rpartition(".")[0]
        if package and package not in sys.modules:
            # A package may put modules into sys.modules, as collections does since Python 3.13.
            self._import(package)
        before = set(sys.modules)
        self._importing.append(wanted)
        try:
            return self._original(name, globals, locals, fromlist or (), level)
        except ModuleNotFoundError as error:
            if error.name == wanted and "." not in wanted:
                self.missing.add(wanted)
                self._of.setdefault(importer, set()).add(wanted)
            raise
        finally:
            self._importing.pop()
            # A module in C, or one that calls importlib, imports without a statement.
            new = sys.modules.keys() - before
            self._of.setdefault(wanted, set()).update(new - {wanted})
            named = {wanted, *(f"{wanted}.{item}" for item in fromlist or ())}
            self._of.setdefault(importer, set()).update(new | (named & sys.modules.keys()))

    def _importer(self) -> str:
        """The module that is imported just now and has led to this import, be it by a function of
        another module. Empty for none."""
        frame: FrameType | None = sys._getframe(2)
        while frame is not None:
            name = str(frame.f_globals.get("__name__"))
            if name.startswith(_MACHINERY):  # a module in C
                return self._importing[-1] if self._importing else ""
            if _is_being_imported(name):
                return name
            frame = frame.f_back
        return ""


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
