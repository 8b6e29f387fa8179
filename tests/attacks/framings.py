"""Bodies of which a server may take a part for a request of its own."""

INNER = "GET /inner HTTP/1.1\r\nHost: alice.example\r\n\r\n"
SIZE = len(INNER)
CHUNKED = "Transfer-Encoding: chunked"
# The headers of a POST, its body, and the status. INNER is to be taken for a request.
FRAMINGS = {
    "length and chunks": (f"Content-Length: {SIZE + 5}\r\n{CHUNKED}", f"0\r\n\r\n{INNER}", 400),
    "two lengths": (f"Content-Length: 0\r\nContent-Length: {SIZE}", INNER, 400),
    "list of lengths": (f"Content-Length: 0, {SIZE}", INNER, 400),
    "signed length": (f"Content-Length: +{SIZE}", INNER, 400),
    "unknown coding": ("Transfer-Encoding: xchunked", f"0\r\n\r\n{INNER}", 501),
    "two codings": (f"{CHUNKED}\r\nTransfer-Encoding: identity", f"0\r\n\r\n{INNER}", 400),
    "odd blank": (f"{CHUNKED}\x0b", f"0\r\n\r\n{INNER}", 501),
    "blank and colon": (f"Transfer-Encoding : chunked\r\nContent-Length: {SIZE}", INNER, 400),
    "endless chunk": (CHUNKED, f"fffffffffffffffff\r\n{INNER}\r\n0\r\n\r\n", 400),
    "folded line": (f"X-Folded: a\r\n Content-Length: {SIZE}", INNER, 400),
    "part of a chunk": (CHUNKED, f"{SIZE:x};a\r\n{INNER}\r\n0\r\n\r\n", 200),
    "body": (f"Content-Length: {SIZE}", INNER, 200),
}  # fmt: skip
