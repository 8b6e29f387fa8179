"""Which strings are host names that may be served, and so may become a folder on this machine."""

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
