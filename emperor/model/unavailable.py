"""The answer to a connection that waits on a listener which no app will accept from any more."""

from emperor.model.spec import WireProtocol

_TEXT = b"The application is not available right now. Please try again in a moment.\n"
_ANSWER = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
    b"Retry-After: 5\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n%s"
) % (len(_TEXT), _TEXT)


def unavailable_response(protocol: WireProtocol) -> bytes:
    """The answer to a request that no app has read, on a socket that speaks `protocol`. It is empty
    for a protocol that does not answer in HTTP. An app answers a request of the uwsgi protocol in
    HTTP too.

    nginx cannot know whether a request ran that it has written to a connection which then ends, so
    a POST would get 502 without this answer.
    """
    return _ANSWER if protocol in (WireProtocol.UWSGI, WireProtocol.HTTP) else b""
