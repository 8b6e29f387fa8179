"""The preloaded interpreters of a daemon, as the control API tells of them."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A module that a base does not hold."""

    module: str
    """name of the module"""
    why: str
    """why it was left out"""


@dataclass(frozen=True, slots=True)
class Base:
    """A preloaded interpreter, from which apps are forked."""

    python: str
    """path of its Python"""
    pid: int
    """process id"""
    made_at: datetime
    """when it was made"""
    home: str | None
    """the virtual environment of which it holds modules; null: it holds the standard library"""
    user: str | None
    """the user whom it runs as; null: that of the daemon"""
    spares: int
    """processes that it has forked, and that wait for an app"""
    apps: int
    """apps that were forked from it until now; after a crash of emperord, those since then"""
    pss_bytes: int | None
    """its memory and that of its spares; what they share with apps counts in part; null: unknown"""
    modules: tuple[str, ...]
    """the modules that it holds"""
    left_out: tuple[LeftOut, ...]
    """the modules that it does without"""


@dataclass(frozen=True, slots=True)
class WithoutBase:
    """A virtual environment whose base could not be made, or has ended by itself. Its apps are
    forked from the base of the standard library."""

    home: str
    """the virtual environment"""
    user: str | None
    """the user of its apps; null: that of the daemon"""
    why: str
    """why it has none"""


@dataclass(frozen=True, slots=True)
class BasesReport:
    """All bases."""

    bases: tuple[Base, ...]
    """each base that can fork apps"""
    why_none: str | None
    """why there can be none; null: there can be some"""
    without_base: tuple[WithoutBase, ...] = ()
    """each virtual environment whose base failed"""
    why_standard: str | None = None
    """why there can be none of virtual environments; null: there can be some"""
