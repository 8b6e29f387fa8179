"""Notes which variables of the environment each module reads at its import, and with what value.

A module that has read another value than an app would get is another module.
"""

import os
import sys
from collections.abc import Collection, Iterator
from types import FrameType
from typing import Any

from emperor.bases.inside.needs import Needs
from emperor.bases.inside.preload import OF_THIS_PYTHON

Variables = dict[bytes, bytes | None]


class Reads:
    """The variables that the modules of a base have read."""

    def __init__(self, needs: Needs) -> None:
        self._needs = needs
        self._plain: dict[bytes, bytes] = {}
        # Each module with what it has read, and those that have read all variables.
        self._some: dict[str, Variables] = {}
        self._all: dict[str, dict[bytes, bytes]] = {}

    def begin(self) -> None:
        """Note all reads from now on."""
        self._plain = _variables()
        _put(Noted(self._plain, self))

    def end(self) -> None:
        """Note no more."""
        _put(self._plain)

    def note(self, key: bytes | None) -> None:
        """Some module has read that variable, or all of them."""
        if name := self._reader(sys._getframe(2)):
            if key is None:
                self._all[name] = {**self._plain}
            else:
                self._some.setdefault(name, {})[key] = self._plain.get(key)

    def _reader(self, frame: FrameType | None) -> str:
        """The module that is imported just now and has led to the read in that frame."""
        importer = self._needs.importer(frame)
        while frame is not None and (name := str(frame.f_globals.get("__name__"))) != importer:
            if name.startswith(OF_THIS_PYTHON):  # what it reads is for what nobody has asked
                return ""
            frame = frame.f_back
        return importer

    def are_alike(self, names: Collection[str]) -> bool:
        """Whether all of these modules would read now what they have read."""
        if self._some.keys().isdisjoint(names) and self._all.keys().isdisjoint(names):
            return True
        now = _variables()
        return all(
            now.get(key) == value
            for name in self._some.keys() & names
            for key, value in self._some[name].items()
        ) and all(self._all[name] == now for name in self._all.keys() & names)


class Noted(dict[bytes, bytes]):
    """The variables of the environment, which tell of each read."""

    def __init__(self, variables: dict[bytes, bytes], reads: Reads) -> None:
        super().__init__(variables)
        self._reads = reads

    def __getitem__(self, key: bytes) -> bytes:
        self._reads.note(key)
        return super().__getitem__(key)

    def __contains__(self, key: Any) -> bool:
        self._reads.note(key)
        return super().__contains__(key)

    def __iter__(self) -> Iterator[bytes]:
        self._reads.note(None)
        return super().__iter__()


def _variables() -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = vars(os.environ)["_data"]
    return found


def _put(variables: dict[bytes, bytes]) -> None:
    # os.environb has them in common with os.environ.
    for environment in (os.environ, os.environb):
        vars(environment)["_data"] = variables
