"""What the next daemon has to know of a base to go on with it, its form as bytes, and which bases
it goes on with.

Two descriptors travel beside the bytes: the daemon's end of the control socket, and a pidfd. A base
sends nothing over that socket once it can fork, and a spare has a channel of its own. So nothing of
the earlier daemon is on its way there but orders to fork, whose spares find their channel closed.
"""

import zlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import msgspec

from emperor.bases.order import Imported
from emperor.bases.program import Version
from emperor.bases.request import Home
from emperor.model.limits import Limits
from emperor.model.snapshot import Stale

# Keys of vassals are domains, which never begin with a dot.
PREFIX = ".base/"
# A base whose names take more ends with its daemon: the bag is for the vassals first.
MOST_BYTES = 48 << 10
_MOST_UNPACKED = 1 << 20
_FASTEST = 1


@dataclass(frozen=True, slots=True)
class Maker:
    """The version that has made a base. `code` is that of the folder of its own modules, and
    `program` that of Python and of uWSGI."""

    emperord: str
    code: Version
    python: str
    pyuwsgi: str
    program: Version


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a base of a home has of the machine, and cannot change: the groups that list its user,
    and the folders of libraries, each with its number and when it has changed last."""

    groups: frozenset[int]
    libraries: dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is needed to make a base of a home again: the home and its user, the variables of that
    user, the limits of the control group, and the modules that the base was asked for.
    `surroundings` are those in which it was made."""

    home: Home
    environment: dict[str, str]
    limits: Limits
    modules: tuple[str, ...]
    surroundings: Surroundings


@dataclass(frozen=True, slots=True)
class KeptBase:
    """A base that can fork. `made` is in monotonic seconds. `recipe` is None for that of the
    standard library; `group` is the name of its control group, empty where it has none."""

    pid: int
    maker: Maker
    imported: Imported
    made: float
    forks: int
    recipe: Recipe | None
    group: str
    format: Literal[1] = 1

    @property
    def key(self) -> str:
        """Its key among the entries of a daemon."""
        return key_of(self.pid)


_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[KeptBase] = msgspec.msgpack.Decoder(KeptBase)


def key_of(pid: int) -> str:
    """The key of a base."""
    return f"{PREFIX}{pid}"


def encode(base: KeptBase) -> bytes | None:
    """The base as bytes; None where they are too many. Hundreds of names of modules have much in
    common."""
    packed = zlib.compress(_ENCODER.encode(base), _FASTEST)
    return packed if len(packed) <= MOST_BYTES else None


def decode(data: bytes) -> KeptBase:
    """The base of these bytes. Raises Stale for another format, and for anything else."""
    try:
        return _DECODER.decode(zlib.decompressobj().decompress(data, _MOST_UNPACKED))
    except (zlib.error, msgspec.MsgspecError, ValueError) as error:
        raise Stale(str(error)) from error


@dataclass(frozen=True, slots=True)
class Condition:
    """What the kernel tells of a base. `is_child`: the daemon is its parent, as after an upgrade in
    the same process."""

    is_alive: bool
    is_stopped: bool
    is_child: bool


def why_ended(
    base: KeptBase, found: Condition, maker: Maker | None, there: Collection[Home | None]
) -> str:
    """Why a daemon does not go on with this base; empty where it does. `maker` is the version that
    makes such bases now, None if none are made. `there` are the homes that have a base; None stands
    for that of the standard library.

    What is forked by a base that is no child of the daemon is none either, so its number may
    become another's at any moment. A process of a tenant's could thus have another process moved
    into its control group. What the base of the standard library forks enters its group by itself.
    """
    home = base.recipe.home if base.recipe is not None else None
    is_of_home = home is not None
    reasons = (
        (not found.is_alive, "it has ended"),
        (maker is None, "no such bases are made now"),
        (base.maker != maker, "another version has made it"),
        (found.is_stopped, "somebody has stopped it"),
        (home in there, "another one is in its place"),
        (is_of_home and None not in there, "the base that it was forked from is of no use"),
        (is_of_home and not found.is_child, "it is a tenant's, and no child of this daemon"),
    )
    return next((why for is_so, why in reasons if is_so), "")
