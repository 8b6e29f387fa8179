"""Leaves lines out of the log where an app, or all apps of a user, cause too many of them."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from emperor.model.log_share import LogShare
from emperor.supervisor.vassals import Vassals


class FairLog(logging.Filter):
    """A filter of a handler. Lines about no app pass."""

    def __init__(self, vassals: Vassals, now: Callable[[], float]) -> None:
        super().__init__()
        self._vassals = vassals
        self._now = now
        self._share = LogShare()
        # Each handler asks for each record.
        self._last: logging.LogRecord | None = None
        self._passes = True

    def filter(self, record: logging.LogRecord) -> bool:
        if record is not self._last:
            self._last, self._passes = record, self._decide(record)
        return self._passes

    def _decide(self, record: logging.LogRecord) -> bool:
        domain = getattr(record, "domain", None)
        if not isinstance(domain, str):
            return True
        vassal = self._vassals.get(domain)
        tenant = vassal.spec.owner if vassal else None
        apps = self._vassals.number_of(tenant) if self._vassals.has_several_owners else None
        written = self._share.line(domain, tenant, apps, self._now())
        if written is None:
            return False
        notes = []
        if written.left_out:
            notes.append(f"{written.left_out} lines about it were left out before")
        if written.is_last:
            notes.append("the next ones are left out for a while")
        if notes:
            record.msg, record.args = f"{record.getMessage()} ({'; '.join(notes)})", None
        return True


@contextmanager
def fair_log(vassals: Vassals, now: Callable[[], float]) -> Iterator[None]:
    """Share the log of the daemon among the users that the vassals run as, for the block."""
    handlers, share = tuple(logging.root.handlers), FairLog(vassals, now)
    for handler in handlers:
        handler.addFilter(share)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(share)
