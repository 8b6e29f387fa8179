"""Decides which strings are host names that may be served, and so may name a folder on this
machine; and how nginx spells a host name."""

import re

# nginx.conf(5)'s server_name regex of ours, and the settings' contract: [a-z0-9_.-], 87 characters.
LONGEST_DOMAIN = 87
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}", re.ASCII)


def is_domain(name: str) -> bool:
    """Whether `name` can be a host name in the form that nginx normalises to: lower case, no port,
    no trailing dot, no empty label, at most 87 characters, so that its socket's path is bindable.
    """
    return len(name) <= LONGEST_DOMAIN and _DOMAIN.fullmatch(name) is not None


def canonical_host(host: str) -> str:
    """What nginx 1.22 makes of the Host of a request as $host (ngx_http_validate_host in its
    source), for a host in ASCII. Raises ValueError with the cause where it answers 400 instead.
    """
    if odd := re.search(r"[\x00-\x20\x7f/]", host):
        raise ValueError(f"it holds {odd[0]!r}")
    if ".." in host:
        raise ValueError("it holds two dots in a row")
    before_port = re.match(r"\[[^\]]*\]?|[^:]*", host)
    name = before_port[0] if before_port else ""
    if host.rfind(".") == len(name) - 1:
        name = name[:-1]
    if not name:
        raise ValueError("it is empty")
    return name.lower()
