"""How much of the domains a backend gets, over others: a number above 0, usually 1."""

import re
from fractions import Fraction

MOST_WEIGHT = 1_000
_WEIGHT = re.compile(r"[0-9]{1,4}(\.[0-9]{1,6})?", re.ASCII)


def parse_weight(text: str) -> Fraction:
    """The weight that a text says. Raises ValueError."""
    weight = Fraction(text) if _WEIGHT.fullmatch(text) else Fraction(0)
    if not 0 < weight <= MOST_WEIGHT:
        raise ValueError(f"{text[:20]!r} is no weight: a number above 0, up to {MOST_WEIGHT}")
    return weight


def spelled_weight(weight: Fraction) -> str:
    """The text of a weight."""
    return f"{round(float(weight), 6):.6f}".rstrip("0").rstrip(".")
