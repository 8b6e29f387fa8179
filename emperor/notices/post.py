"""Sends one HTTP request: a program of its own, which imports the standard library alone.

In a process of its own, a name server, a certificate or a peer that hangs holds up nothing, the
memory of TLS is not the daemon's, and the kernel ends it when its time is up. It has no capability
of root's. Its input is JSON: `url`, `headers`, `body`, `seconds`. The last line that it prints says
what came of it. Exit status: 0 delivered, 75 may be tried again (EX_TEMPFAIL), 1 otherwise.
"""

import base64
import json
import ssl
import sys
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import unquote, urlsplit

DELIVERED, REFUSED, AGAIN = 0, 1, 75
# Too early, too many, and whatever the server says of itself.
_WORTH_ANOTHER_TRY = frozenset({408, 425, 429})


def main() -> int:
    """The program."""
    order = json.load(sys.stdin)
    try:
        status = _post(order["url"], order["headers"], order["body"], order["seconds"])
    except ssl.SSLCertVerificationError as error:
        print(f"its certificate is not valid: {error.verify_message}")
        return AGAIN
    except (OSError, HTTPException) as error:
        print(getattr(error, "strerror", None) or str(error) or type(error).__name__)
        return AGAIN
    print(f"HTTP {status}")
    if 200 <= status < 300:
        return DELIVERED
    return AGAIN if status >= 500 or status in _WORTH_ANOTHER_TRY else REFUSED


def _post(url: str, headers: dict[str, str], body: str, seconds: float) -> int:
    """The status of the answer. Redirects are not followed. Raises OSError, HTTPException."""
    parts = urlsplit(url)
    assert parts.hostname
    if parts.scheme == "https":
        context = ssl.create_default_context()
        # From Python 3.13 on this is set, and refuses an authority without the key usage of RFC
        # 5280, which a company may have added to its machines.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        connection: HTTPConnection = HTTPSConnection(
            parts.hostname, parts.port, timeout=seconds, context=context
        )
    else:
        connection = HTTPConnection(parts.hostname, parts.port, timeout=seconds)
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        headers = {**headers, "Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    target = parts.path or "/"
    target += f"?{parts.query}" if parts.query else ""
    try:
        connection.request("POST", target, body.encode(), headers)
        return connection.getresponse().status
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
