"""The stock hash in Python, and its values for some hosts."""

# Measured in LuaJIT. The last three are above 2^32: the last addition is not masked, and of 3
# or 5 backends the first of them then belongs to another one.
VECTORS = {
    "example.com": 3653638078,
    "www.example.com": 2843247409,
    "example.com:8080": 1268364424,
    "example.com.": 310972332,
    "a.io": 2090013164,
    "localhost": 906931598,
    "x": 177693,
    "0": 177621,
    "127.0.0.1": 1532542490,
    "[::1]": 244220258,
    "shop.example.org": 3006564719,
    "blog.example.org": 2792580857,
    "12.example.com": 2656564239,
    "21.example.com": 2319000623,
    "customer-0001.apps.example.net": 2197162678,
    "customer-0002.apps.example.net": 1896623319,
    "xn--mnchen-3ya.de": 911451887,
    "a_b.example.com": 2424563182,
    "the-quick-brown-fox-jumps-over-the-lazy-dog.subdomain.of.a.rather.long"
    ".domain-name.example.co.uk": 2150956342,
    "EXAMPLE.Com": 3653638078,
    "s40832659.com": 4294967402,
    "s46254076.com": 4294967335,
    "s160516369.com": 4294967386,
}


def stock_hash(host: str) -> int:
    """The hash of a host name, whose non-ASCII letters are taken as UTF-8."""
    value = 5381
    for byte in host.encode().lower():
        value = value * 33 % 2**32 + byte
    return value


def stock_index(host: str, backends: int) -> int:
    """Which of so many backends the host belongs to, from 0 on."""
    return stock_hash(host) % backends
