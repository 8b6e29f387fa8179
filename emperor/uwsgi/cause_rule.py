"""A rule about what a failing uWSGI prints: one row of the table in causes.py."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """A cause of a failure, as uWSGI prints it. `pattern` is searched in the output, line by line.
    `sentence` can contain the names of its groups; {cure} is the cure for its group `error`,
    {holder} is what has `address`, and {bound} are the addresses that the ini has uWSGI bind.
    `is_vague`: it says little, so that it counts if no other rule matches."""

    pattern: re.Pattern[str]
    sentence: str
    source: str
    is_vague: bool = False


# uWSGI's uwsgi_error(): "CALL: STRERROR [FILE line N]".
ERROR = r"(?P<error>[^\[\n]+?) \[[\w/]+\.c line \d+\]"

# What uWSGI and Python print between two lines of one failure. Without a bound, lines that an app
# prints would take time with the third power of their number.
SOME_LINES = r"(?:.*\n){0,40}?"


def rule(pattern: str, sentence: str, source: str, is_vague: bool = False) -> Rule:
    """The rule of a pattern. Each line has a start and an end."""
    return Rule(re.compile(pattern, re.MULTILINE), sentence, source, is_vague)
