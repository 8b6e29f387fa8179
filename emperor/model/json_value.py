"""Reads JSON that others may have written."""

from typing import TypeVar

import msgspec

T = TypeVar("T")


def from_json(value: bytes | str, kind: type[T]) -> T:
    """The value as that type. Raises ValueError, also where it is nested so deeply that no decoder
    gets through."""
    try:
        return msgspec.json.decode(value, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error
