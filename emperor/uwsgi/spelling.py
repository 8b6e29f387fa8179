"""Gives an error about a value its cure where uWSGI takes the value letter by letter, and its
author took it for that of a shell: quotes, and `~` for a home."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.ini import Ini

_QUOTES = ('"', "'")


def with_cures(found: Iterable[Finding], ini: Ini) -> Iterator[Finding]:
    """The findings, those errors with another cure."""
    values = {option.line: option.value for option in ini.options if option.line > 0}
    for finding in found:
        value = values.get(finding.line, "")
        if finding.severity is Severity.ERROR and value.startswith(_QUOTES):
            cure = f"drop the {value[0]}, which uWSGI takes for a part of the value"
            yield replace(finding, cure=cure)
        elif finding.severity is Severity.ERROR and value.startswith("~"):
            yield replace(finding, cure="write the path from / on: uWSGI does not know ~")
        else:
            yield finding
