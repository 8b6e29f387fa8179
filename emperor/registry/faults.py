"""Tells a fault of emperord in a question to the registry as an answer that did not come: those who
ask know what to do without one."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from emperor.registry.port import CannotReach, RegistryRefused

_SILENCE = (CannotReach, RegistryRefused)


@contextmanager
def faults_as_silence(log: logging.Logger, what: str, *expected: type[Exception]) -> Iterator[None]:
    """Log an exception of the block as "cannot WHAT: a fault in emperord", and raise CannotReach in
    its place, unless the registry was not reached, or the exception is `expected`."""
    try:
        yield
    except Exception as error:
        if isinstance(error, (*_SILENCE, *expected)):
            raise
        log.exception("cannot %s: a fault in emperord", what)
        raise CannotReach("a fault in emperord; its log has the traceback") from error
