"""Writes causes.md from the table of causes: the sentences of `emperorctl status` and `why`."""

import re
from collections.abc import Iterator, Mapping

from docs.folding import folded_item
from emperor.uwsgi.causes import RULES
from emperor.uwsgi.cures import ANY_EXCEPTION, CIRCULAR, CURES, EXCEPTIONS, OTHER_PYTHON, SIGNALS

_PAGE = """\
# Why an app failed

<!-- Written by `make docs` from emperor/uwsgi/causes.py and cures.py; do not edit. -->

`emperorctl status` and `emperorctl why` say in one sentence why an app failed: what it cannot do,
the cause in the words of uWSGI or Python, and the cure. Visitors never see it. The sentence comes
from the last 16 KB that the process printed:

1. An app that exited by itself: the cause that was printed last, of those below. A rule marked
   *vague* counts if no other matches.
2. If there is none: the exit status, and the last line that uWSGI does not print at every start
   or stop. If uWSGI printed nothing else, the disk of the log is full, or `logto` or `daemonize` of
   the ini sent it elsewhere.
3. An app that emperord killed at its `start-timeout`, or because its worker died again and again:
   that, and then the same, or how its worker died. An app that did not stop in time: only that.
4. An app that was killed by a signal: what the signal means.
5. An app that runs on, and whose first worker died and was replaced: why, until the next start. It
   may be harakiri, a signal, a crash, or an exit by the app itself. uWSGI does not tell emperord of
   its other workers.

The last lines of the log are shown by `emperorctl why`, all of it by `emperorctl logs`. What an app
prints elsewhere (`logto`, `daemonize`) is not read.

tests/journeys/ways_to_fail.py has an ini for each kind of failure, and its sentence.

## What uWSGI prints

{rules}

## Errors of the kernel

`{{cure}}` above is, by the text of the error:

| error | cure |
|---|---|
{errors}

## Exceptions while the app is loaded

`cannot load the app: EXCEPTION (FILE, line N); CURE`, with the innermost line of the traceback. An
exception from which another one is raised follows that one, after `since`. The cure is for it.

| exception | cure |
|---|---|
{exceptions}

## Signals

`killed by SIGNAL: MEANING`, unless emperord sent it.

| signal | meaning |
|---|---|
{signals}
"""


def causes() -> str:
    """The whole of causes.md."""
    return _PAGE.format(
        rules="\n".join(_rules()),
        errors=_rows(CURES),
        exceptions=_rows(
            {
                **EXCEPTIONS,
                "both, in a virtualenv of another Python": OTHER_PYTHON,
                "ImportError, in a circle": CIRCULAR,
                "any, with an error of a full disk or the like": "as for that error of the kernel",
                "any other": ANY_EXCEPTION,
            }
        ),
        signals=_rows(SIGNALS),
    )


def _rules() -> Iterator[str]:
    for rule in RULES:
        vague = ", vague" if rule.is_vague else ""
        sentence = re.sub(r"\{(\w+)(?:!r)?\}", r"{\1}", rule.sentence).replace("`", "'")
        yield folded_item(f"- `{sentence}`")
        yield folded_item(f"  ({rule.source}{vague})")


def _rows(table: Mapping[str, str]) -> str:
    return "\n".join(f"| {name} | {text} |" for name, text in table.items())
