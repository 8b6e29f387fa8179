"""Finds values of `env` that set another variable than they look, or none.

uWSGI gives a value to putenv(3) as it is written, with all blanks and quotes (core/uwsgi.c).
"""

import re
from collections.abc import Iterator

from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.ini import Ini, Option, refers

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_EXPORT = re.compile(r"(?:export|set|setenv)\s+")
_QUOTED = re.compile(r"([\"'])(?P<text>.*)\1")


def odd_variables(ini: Ini) -> Iterator[Finding]:
    """A warning for each of them."""
    for option in ini.options:
        if option.key == "env" and not refers(option.value.partition("=")[0]):
            yield from _odd(option)


def _odd(option: Option) -> Iterator[Finding]:
    name, equals, value = option.value.partition("=")
    plain = _EXPORT.sub("", name).strip()
    cure = f"write env = {plain}={value.strip() or 'VALUE'}"
    quoted = _QUOTED.fullmatch(value.strip())
    if not equals:
        name, _, value = plain.partition(" ")
        cure = f"write env = {name}={value.strip() or 'VALUE'}"
        yield _warning(option, f"env = {option.value} has no =, so it sets no variable", cure)
    elif _NAME.fullmatch(name) is None:
        yield _warning(option, f"env sets a variable that is named {name!r}", cure)
    elif quoted:
        text = f"the quotes are part of the value of {name}"
        yield _warning(option, text, f"write env = {name}={quoted['text']}")


def _warning(option: Option, text: str, cure: str) -> Finding:
    return Finding(option.line, Severity.WARNING, text, cure)
