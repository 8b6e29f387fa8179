"""What a base is told: what to import, and how to become one app."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Import:
    """The first message to a base: the path of the module pyuwsgi, and what to import."""

    pyuwsgi: str
    modules: Sequence[str]
    oom_score_adj: int

    def message(self) -> bytes:
        """As JSON, which a base can read without a module of ours."""
        return _ENCODER.encode(self)


class Imported(msgspec.Struct, frozen=True):
    """The answer: all modules that are loaded, and those that failed, each with the reason."""

    modules: tuple[str, ...]
    left_out: dict[str, str]


@dataclass(frozen=True, slots=True)
class User:
    """Whom an app runs as. `name` is None for a number without an entry in passwd."""

    uid: int
    gid: int
    name: str | None


@dataclass(frozen=True, slots=True)
class Order:
    """How a spare becomes an app. `binary` is the program uwsgi, and `arguments` are for it.
    `home` is that of Python. `targets` are the numbers of the descriptors that come with the order;
    behind them come the files `entrances`, by which it enters its control group. `open_files` are
    the soft and hard limits, and `folder` is where it starts."""

    binary: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    home: str
    folder: str
    user: User | None
    no_new_privs: bool
    open_files: tuple[int, int]
    nice: int
    targets: Sequence[int]
    entrances: Sequence[str]

    def message(self) -> bytes:
        """As JSON."""
        return _ENCODER.encode(self)
