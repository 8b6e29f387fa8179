"""Finds the vassal that answers for a host: by its own ini, or else by the nearest wildcard.

An ini that is refused, or not read yet, or whose vassal is about to go, gives way to no wildcard:
that may be another tenant's. The same holds for the aliases of such an ini.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Protocol

from emperor.model.refusal import Refusal
from emperor.model.wildcard import names_of
from emperor.supervisor.records import Vassal
from emperor.supervisor.vassals import Vassals


class Absence(Enum):
    """Why no vassal answers for a host."""

    UNKNOWN = "no ini is for it"
    UNREAD = "its ini is not read yet, or its vassal is about to go"


class Inis(Protocol):
    """The folder of inis."""

    @property
    def refused(self) -> Mapping[str, Refusal]:
        """The inis that are refused, by domain."""

    def has(self, domain: str) -> bool:
        """Whether there is an ini of that domain, served or not yet."""

    def with_alias(self, host: str) -> str | None:
        """The domain of an ini that names `host` as an alias, served or not; None: no ini does."""


class Hosts:
    """All hosts: `vassals` serves some, and `inis` has those that are not served too."""

    def __init__(self, vassals: Vassals, inis: Inis) -> None:
        self._vassals = vassals
        self._inis = inis

    @property
    def refused(self) -> Mapping[str, Refusal]:
        """The inis that are refused, by domain."""
        return self._inis.refused

    def answering(self, host: str) -> Vassal | Refusal | Absence:
        """The vassal that answers for a host, or why there is none."""
        for name in names_of(host):
            if vassal := self._vassals.serving(name):
                return vassal
            for domain in (name, self._inis.with_alias(name)):
                if domain is None:
                    continue
                if refusal := self._inis.refused.get(domain):
                    return refusal
                if self._inis.has(domain):
                    return Absence.UNREAD
            if name == host and self._vassals.get(name):
                break
        return Absence.UNKNOWN
