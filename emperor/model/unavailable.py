"""What a connection is told that waits on a listener when there will be no app to accept it."""

_HTTP = frozenset({"socket", "uwsgi-socket", "http-socket", "http11-socket"})
_TEXT = b"The application is not available right now. Please try again in a moment.\n"
_ANSWER = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
    b"Retry-After: 5\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n%s"
) % (len(_TEXT), _TEXT)


def unavailable_response(protocol: str) -> bytes:
    """The answer to a request that nobody has read, and so nobody has run, on a socket of that
    option of uWSGI; nothing where it would have to be spelled otherwise. An app answers a request
    of the uwsgi protocol in HTTP too.

    Without it nginx could not know: what it has written to a connection that ends may have been
    run, so a POST gets 502.
    """
    return _ANSWER if protocol in _HTTP else b""
