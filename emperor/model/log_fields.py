"""The fields of a log line that journald keeps beside the sentence."""

from typing import TypedDict


class LogFields(TypedDict, total=False):
    """The fields for `extra=` of a logger: the vassal, the event of its state machine, the
    process."""

    domain: str
    event: str
    pid: int


def about(domain: str) -> LogFields:
    """The fields of a line about one vassal."""
    return LogFields(domain=domain)
