"""The answer to a connection that waits on a listener which no app will accept from any more."""

from emperor.model.spec import WireProtocol

# How long visitors of a site in maintenance, and their browsers, should wait.
MAINTENANCE_RETRY_SECONDS = 60

_TEXT = b"The application is not available right now. Please try again in a moment.\n"
_MAINTENANCE_TEXT = b"This site is under maintenance. Please try again later.\n"


def _answer(text: bytes, retry_seconds: int) -> bytes:
    return (
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
        b"Retry-After: %d\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n%s"
    ) % (len(text), retry_seconds, text)


_ANSWER = _answer(_TEXT, 5)
_MAINTENANCE_ANSWER = _answer(_MAINTENANCE_TEXT, MAINTENANCE_RETRY_SECONDS)


def unavailable_response(protocol: WireProtocol, in_maintenance: bool = False) -> bytes:
    """The answer to a request that no app has read, on a socket that speaks `protocol`. It is empty
    for a protocol that does not answer in HTTP. An app answers a request of the uwsgi protocol in
    HTTP too. `in_maintenance`: the operator keeps visitors out.

    nginx cannot know whether a request ran that it has written to a connection which then ends, so
    a POST would get 502 without this answer.
    """
    if protocol not in (WireProtocol.UWSGI, WireProtocol.HTTP):
        return b""
    return _MAINTENANCE_ANSWER if in_maintenance else _ANSWER
