"""Finds where an ini that names no app has lost it: a comment, a misspelt option, a cut copy."""

import re
from collections.abc import Collection
from difflib import get_close_matches
from typing import NamedTuple

from emperor.uwsgi.ini import Ini

_BLANKS = " \t\r"
_SIMILARITY = 0.75
_LONGEST_EXCERPT = 60
# A comparison of all options in a file that somebody filled would take a second, in which the
# daemon answers nobody.
_MOST_COMPARED = 100


class LostApp(NamedTuple):
    """What is known of the loss. `line` is 0 where no line is to blame."""

    line: int
    text: str
    cure: str


def lost_app(ini: Ini, apps: Collection[str], known: Collection[str]) -> LostApp:
    """Where `ini`, which has none of the options `apps`, seems to have lost it. The options `known`
    are spelled like one of them, and are right."""
    names = "|".join(sorted(map(re.escape, apps), key=len, reverse=True))
    commented = re.compile(rf"[;#\s]+({names})\s*=\s*\S")
    elsewhere = re.compile(rf"({names})\s*=\s*\S")
    section, end = "", 0
    candidates: list[LostApp] = []
    for number, raw in enumerate(ini.text.split("\n"), 1):
        line = raw.strip(_BLANKS)
        end = number if line else end
        if line.startswith("["):
            section = line
        elif line[:1] in (";", "#") and section == "[uwsgi]" and commented.match(line):
            text = f"{_excerpt(line)!r} is a comment"
            candidates.append(LostApp(number, text, f"drop the {line[0]} in front of it"))
        elif section != "[uwsgi]" and elsewhere.match(line):
            text = f"{_excerpt(line)!r} is in the section {section}"
            candidates.append(LostApp(number, text, "move it below [uwsgi]"))
    if found := candidates[-1] if candidates else _misspelt(ini, apps, known):
        return found
    cure = "name one by file = or module =, or copy the ini again if the copy was cut short"
    return LostApp(0, f"it ends at line {end}", cure)


def _misspelt(ini: Ini, apps: Collection[str], known: Collection[str]) -> LostApp | None:
    for option in ini.options[:_MOST_COMPARED]:
        # A line without `=`, or with another sign in its place, is a key without a value.
        word = re.split(r"[\s:]", option.key, maxsplit=1)[0]
        if option.key in known or not word:
            continue
        if meant := get_close_matches(word.lower(), apps, n=1, cutoff=_SIMILARITY):
            value = option.value or option.key[len(word) :].lstrip(" \t:")
            text = f"{option.key!r} is no option of uWSGI"
            return LostApp(option.line, text, f"write {meant[0]} = {_excerpt(value)}")
    return None


def _excerpt(text: str) -> str:
    return text if len(text) <= _LONGEST_EXCERPT else f"{text[:_LONGEST_EXCERPT]}…"
