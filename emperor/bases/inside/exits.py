"""Notes what the modules of a base have Python do when it ends (atexit).

Each app gets that with the module, and an app that does not import the module does without."""

import atexit
import sys
import weakref
from collections.abc import Callable, Collection
from typing import Any

from emperor.bases.inside.needs import Needs

_Function = Callable[..., object]


class Exits:
    """What is done at the exit of Python, by the modules that have asked for it."""

    def __init__(self, needs: Needs) -> None:
        self._needs = needs
        # Of each module what it has called, in the order of the calls.
        self._noted: list[tuple[str, str, _Function, tuple[Any, ...], dict[str, Any]]] = []
        self._register: Callable[..., Any] = atexit.register
        self._unregister: Callable[..., Any] = atexit.unregister
        self._is_noting = False

    def begin(self) -> None:
        """Note from now on."""
        # At its first object this class has weakref do something, once for all modules.
        weakref.finalize(self, print).detach()
        self._register, self._unregister = atexit.register, atexit.unregister
        self._is_noting = True
        vars(atexit).update(register=self._note, unregister=self._note_unregister)

    def end(self) -> None:
        """Note no more."""
        vars(atexit).update(register=self._register, unregister=self._unregister)
        self._is_noting = False

    def _note(self, function: _Function, /, *arguments: Any, **named: Any) -> _Function:
        # A module may have kept this as its `register`.
        importer = self._needs.importer(sys._getframe(1)) if self._is_noting else ""
        if importer:
            self._noted.append((importer, "register", function, arguments, named))
        else:
            self._register(function, *arguments, **named)
        return function

    def _note_unregister(self, function: _Function, /) -> None:
        importer = self._needs.importer(sys._getframe(1)) if self._is_noting else ""
        if importer:
            self._noted.append((importer, "unregister", function, (), {}))
        else:
            self._unregister(function)

    def add(self, names: Collection[str]) -> None:
        """Have Python do what these modules have asked for."""
        for name, call, function, arguments, named in self._noted:
            if name in names:
                getattr(atexit, call)(function, *arguments, **named)
