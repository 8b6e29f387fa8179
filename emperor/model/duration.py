"""How a duration is written in a setting, a flag and an ini: `26h`, `1h30m`, `500ms`, `0.5`."""

import re
from decimal import Decimal

FORMS = "a duration such as 26h, 1h30m, 90s or 500ms, or a number of seconds"

_MILLISECONDS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
# At most ten digits: 316 years in seconds.
_PLAIN = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,3})?")
_UNITS = re.compile(
    r"(?:([0-9]{1,10})d)?"
    r"(?:([0-9]{1,10})h)?"
    r"(?:([0-9]{1,10})m)?"
    r"(?:([0-9]{1,10}(?:\.[0-9]{1,3})?)s)?"
    r"(?:([0-9]{1,10})ms)?"
)


def parse_duration(text: str) -> float:
    """The seconds that `text` stands for, a multiple of a millisecond.

    Units are d, h, m, s and ms, each once and in this order. A number without a unit is in seconds.
    Seconds may have up to three decimals. Raises ValueError that says which forms there are.
    """
    match = _UNITS.fullmatch(f"{text}s" if _PLAIN.fullmatch(text) else text)
    if not text or match is None:
        raise ValueError(f"must be {FORMS}")
    numbers = zip(match.groups("0"), _MILLISECONDS.values(), strict=True)
    return sum(int(Decimal(number) * unit) for number, unit in numbers) / 1000


def format_duration(seconds: float) -> str:
    """A text that `parse_duration` reads as `seconds`, to the nearest millisecond.

    Days are used for whole days only, since 26h is easier to read than 1d2h.
    """
    rest = round(seconds * 1000)
    parts = []
    for unit, size in _MILLISECONDS.items():
        if unit != "d" or rest % size == 0:
            number, rest = divmod(rest, size)
            if number:
                parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"
