"""Finds the option of an ini that a complaint of uWSGI's is about. uWSGI names no line."""

import re
from collections.abc import Sequence

from emperor.uwsgi.ini import LOADERS, Option, leading_number

# Shorter values, as `4` or `on`, stand in many a complaint.
_SHORTEST_VALUE = 4
_NOT_POSITIVE = "must be > 0"
_EMPTY = re.compile("")
_NO_PAIR = re.compile("[^=]*")
# Parts of complaints that name no option: the options that they may be about, and what their values
# are then.
_MEANT = (
    ("capabilities mask", r"cap", re.compile(".*")),
    ("static map", r"static-map2?", _NO_PAIR),
    ("placeholder/--set", r"set(?:-placeholder|-ph)?|ph", _NO_PAIR),
    ("chmod value", r"chmod(?:-socket)?|logfile-chmod", re.compile("(?![0-7]+$).*")),
    ("uwsgi socket name", r".*socket", _EMPTY),
    ("load configuration", "|".join(sorted(LOADERS)), _EMPTY),
)


def blamed(options: Sequence[Option], complaint: str) -> Option | None:
    """The option whose value the complaint quotes, or else the one that it names."""
    quoted = [option for option in options if _quotes(complaint, option)]
    if quoted:
        return max(quoted, key=lambda option: len(option.value))
    named = [option for option in options if _names(complaint, option.key)]
    named = named or [option for option in options if _is_meant(complaint, option)][:1]
    if _NOT_POSITIVE in complaint:
        named = [each for each in named if leading_number(each.value) <= 0][:1] or named
    return named[-1] if named else None


def _is_meant(complaint: str, option: Option) -> bool:
    return any(
        part in complaint and re.fullmatch(keys, option.key) and values.fullmatch(option.value)
        for part, keys, values in _MEANT
    )


def _quotes(complaint: str, option: Option) -> bool:
    if option.value and complaint.endswith(f": {option.value}"):
        return True
    parts = [option.value, option.value.partition(":")[0], *option.value.split(",")]
    return any(len(part) >= _SHORTEST_VALUE and _has_word(complaint, part) for part in parts)


def _has_word(text: str, word: str) -> bool:
    """Whether it stands there and is no part of a longer word. An ini may have 30,000 options, so
    a regular expression for each would take seconds."""
    at = text.find(word)
    around = text[max(0, at - 1) : at] + text[at + len(word) : at + len(word) + 1]
    return at >= 0 and not any(each.isalnum() or each in "_-" for each in around)


def _names(complaint: str, key: str) -> bool:
    """Whether uWSGI means an option: many a key is a word of its own, as `file`."""
    forms = (f'option "{key}"', f"invalid {key} ", f"--{key}: ", f"--{key} ", f"[{key} ")
    named = any(form in complaint for form in forms) or complaint.endswith(f"directive: {key}")
    return bool(key) and named
