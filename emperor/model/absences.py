"""Since when backends are down, as the balancers' agents have seen it: for `emperorctl fleet`. No
agent goes by it, since clocks differ."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Annotated

import msgspec

from emperor.model.json_value import from_json

_LONGEST_VALUE_BYTES = 1 << 20
_Seconds = Annotated[int, msgspec.Meta(ge=0, le=2**40)]


def encoded(since: Mapping[str, int]) -> bytes:
    """The value of the key; times are in seconds since the epoch."""
    return msgspec.json.encode(dict(sorted(since.items())))


def decoded(value: bytes) -> dict[str, int]:
    """What the registry has; nothing if that cannot be read."""
    with suppress(ValueError):
        if len(value) <= _LONGEST_VALUE_BYTES:
            return from_json(value, dict[str, _Seconds])
    return {}


def seen(before: Mapping[str, int], down: Collection[str], now: int) -> dict[str, int]:
    """Since when each backend is down that is in `down` now; `before` is what was known."""
    return {backend: before.get(backend, now) for backend in down}
