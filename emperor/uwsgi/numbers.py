"""The numbers that uWSGI takes as the values of options."""

from emperor.uwsgi.ini import WORKERS, Option, leading_number
from emperor.uwsgi.loops import GREENLETS

# The least number of each option; 0 for all others. The largest is that of C's int.
_LEAST = dict.fromkeys(WORKERS, 1) | dict.fromkeys(GREENLETS, 2)
_LARGEST = 2**31 - 1


def whole_number(option: Option) -> int:
    """The number as uWSGI reads it. Raises BrokenIni where uWSGI would refuse to start."""
    value = leading_number(option.value)
    if not 0 <= value <= _LARGEST:
        least = _LEAST.get(option.key, 0)
        cure = f"use {least} or more" if value < 0 else f"use {_LARGEST} or less"
        raise option.broken(f"{option.key} = {option.value} is out of range", cure)
    return value
