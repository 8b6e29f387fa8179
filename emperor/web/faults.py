"""Tells a fault of this program from a request that is broken, among what aiohttp logs."""

import logging

from emperor.web.aiohttp_server import HttpProcessingError, web

_OF_THE_CLIENT = (HttpProcessingError, web.RequestPayloadError)


def is_fault(record: logging.LogRecord) -> bool:
    """Whether an error that aiohttp logs is one of ours. A request that is no HTTP is answered 400,
    as is a body that cannot be unpacked; a traceback of each would let a client fill the log."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, _OF_THE_CLIENT)
