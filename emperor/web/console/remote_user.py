"""Who has asked nginx for the console. The service that passes nginx's requests on tells the name.
Only that service is believed: its user is the caller then (systemd/emperord-console.service)."""

from collections.abc import Mapping

from emperor.linux.accounts import SystemAccounts
from emperor.model.authority import Caller
from emperor.model.text import one_line

HEADER = "X-Forwarded-User"
SERVICE = "emperord-console"
_LONGEST = 100


def person(headers: Mapping[str, str], caller: Caller, accounts: SystemAccounts) -> str:
    """The name, for the log; empty if nobody tells it who is believed. May read /etc/passwd."""
    name = one_line(headers.get(HEADER, ""))[:_LONGEST]
    if not name or not caller.is_administrator:
        return ""
    service = accounts.user(SERVICE)
    return name if service is not None and service.uid == caller.uid else ""
