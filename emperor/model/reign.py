"""What a daemon says of itself to the one that comes after it, and what that one makes of it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from emperor.model.settings import Settings
from emperor.model.snapshot import FORMAT, Stale

# Sockets and processes stand there, and nginx looks for them there.
_FIXED = ("vassals", "sockets", "run_dir")


@dataclass(frozen=True, slots=True)
class Handed:
    """A descriptor beside the record. What `is_ours` no systemd holds: this daemon has made it, and
    unlinks it when it stops."""

    name: str
    is_ours: bool


@dataclass(frozen=True, slots=True)
class Reign:
    """One daemon. `reading` stands for all that decides what an ini comes to."""

    reading: str
    vassals: str
    sockets: str
    run_dir: str
    handed: tuple[Handed, ...] = ()
    format: Literal[1] = FORMAT


_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Reign] = msgspec.msgpack.Decoder(Reign)


def reign_of(version: str, settings: Settings, handed: tuple[Handed, ...] = ()) -> Reign:
    """That of a daemon with these settings."""
    places = (str(settings.vassals), str(settings.sockets), str(settings.run_dir))
    return Reign(reading(version, settings), *places, handed)


def reading(version: str, settings: Settings) -> str:
    """A text that is the same as long as an ini comes to the same."""
    return f"{version} {settings!r}"


def encode(reign: Reign) -> bytes:
    """The bytes of it."""
    return _ENCODER.encode(reign)


def decode(data: bytes) -> Reign:
    """The opposite of `encode`. Raises Stale for what another format, or nobody, wrote."""
    try:
        return _DECODER.decode(data)
    except msgspec.MsgspecError as error:
        raise Stale(str(error)) from error


def under(reign: Reign, settings: Settings) -> tuple[Settings, tuple[str, ...]]:
    """The settings that whoever goes on with that reign can have, and what cannot change without a
    stop, in words."""
    kept: dict[str, Any] = {}
    told = []
    for field in _FIXED:
        is_set, wanted = Path(getattr(reign, field)), getattr(settings, field)
        if is_set != wanted:
            kept[field] = is_set
            told.append(f"{field.replace('_', '-')} = {wanted} (it stays {is_set})")
    return (replace(settings, **kept) if kept else settings), tuple(told)
