"""Why a uWSGI died, in a line: from how it exited and from the end of what it printed."""

import re

# uWSGI's own exit codes (uwsgi.h: UWSGI_FAILED_APP_CODE and exit(1) of its configuration).
_EXITS = {
    "exit status 22": "the app could not be loaded",
    "exit status 1": "uWSGI gave up",
    "exit status 127": "the command could not be executed",
}
_EXCEPTION = re.compile(r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt)\b.*")
_COMPLAINT = re.compile(
    r"(?i).*(?:\berror\b|unable to|cannot|failed|not found|no such|denied|unknown|must be).*"
)
# uWSGI says these at every death; they explain nothing.
_CHATTER = re.compile(r"unable to load app 0|no app loaded|\*\*\*|OOPS|need-app|VACUUM")
_LONGEST = 200


def cause_of_death(how: str, printed: str) -> str:
    """`how` ("exit status 22", "killed by SIGKILL") in words, with the telling line of `printed`.

    The last Python exception tells most, then the last complaint of uWSGI itself.
    """
    words = f"{_EXITS[how]} ({how})" if how in _EXITS else how
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    if how == "exit status 0" or not lines:
        return words
    told = [line for line in lines if not _CHATTER.search(line)]
    for pattern in (_EXCEPTION, _COMPLAINT):
        for line in reversed(told):
            if pattern.fullmatch(line):
                return f"{words}: {line[:_LONGEST]}"
    return words
