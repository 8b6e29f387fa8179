"""Why a uWSGI exited, in a line: from its exit status and from the end of its output."""

import re

from emperor.model.ports import Exit

# uWSGI's own exit codes (uwsgi.h: UWSGI_FAILED_APP_CODE, and exit(1) of its configuration).
_EXITS = {
    22: "the app could not be loaded",
    1: "uWSGI gave up",
}
_TRACEBACK = "Traceback (most recent call last):"
# uWSGI prints the exception alone where `module` itself cannot be found.
_RAISED = re.compile(r"(?:\w+\.)*[A-Z]\w*(?:Error|Exception): ")
_COMPLAINT = re.compile(
    r"(?i).*(?:\berror\b|unable to|cannot|failed|not found|no such|denied|unknown|must be).*"
)
# uWSGI prints these at every exit, so they explain nothing.
_USUAL = re.compile(r"unable to load app 0|no app loaded|\*\*\*|OOPS|need-app|VACUUM")
_LONGEST = 200


def explain_exit(ended: Exit, printed: str) -> str:
    """`ended` in words, with the line of `printed` that explains it best.

    The last Python exception tells most, then the last complaint of uWSGI itself.
    """
    words = f"{_EXITS[ended.code]} ({ended})" if ended.code in _EXITS else str(ended)
    lines = printed.splitlines()
    reason = (
        None
        if ended.code == 0
        else _exception(lines) or _last(_RAISED, lines) or _last(_COMPLAINT, lines)
    )
    return f"{words}: {reason.strip()[:_LONGEST]}" if reason else words


def _exception(lines: list[str]) -> str | None:
    """The line that ends the last traceback: the first that is not indented."""
    begins = max((at for at, line in enumerate(lines) if line == _TRACEBACK), default=None)
    if begins is None:
        return None
    return next((line for line in lines[begins + 1 :] if line[:1].strip()), None)


def _last(pattern: re.Pattern[str], lines: list[str]) -> str | None:
    return next(
        (line for line in reversed(lines) if pattern.match(line) and not _USUAL.search(line)),
        None,
    )
