"""The names of the users that vassals run as, and which of these users the filter offers."""

import re
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from emperor.linux.accounts import SystemAccounts

# A longer menu is no help, and each name may be a question to a directory service.
MOST_OFFERED = 100
# Also of a domain, as a directory service has it (DOMAIN\\user).
_NAME = re.compile(r"[\w.@$+\\-]{1,64}")
_KEPT_SECONDS = 60.0
_MOST_KEPT = 1000


class Names:
    """Tells the names of users, and keeps each for a minute. A directory service that does not list
    its users takes about a millisecond for each (measured: 10,000 take 5 s), so a page asks for the
    users that it shows. All methods may read /etc/passwd or wait for that service."""

    def __init__(self, accounts: SystemAccounts, clock: Callable[[], float] = time.monotonic):
        self._accounts = accounts
        self._clock = clock
        self._kept: dict[int | None, tuple[str, float]] = {}

    def of(self, uid: int | None) -> str:
        """The name of a user; its number where it has none. None is the daemon's user."""
        now = self._clock()
        name, until = self._kept.get(uid, ("", 0.0))
        if until <= now:
            name = self._accounts.name(uid)
            if len(self._kept) >= _MOST_KEPT:
                self._kept = {}
            self._kept[uid] = name, now + _KEPT_SECONDS
        return name

    def uid_text(self, tenant: str) -> str:
        """The user that somebody has typed, by name or number, as links have it. A name that no
        user has stays as it is."""
        if tenant in ("", uid_text(None)) or tenant.isdecimal():
            return tenant
        user = self._accounts.user(tenant)
        return tenant if user is None else uid_text(user.uid)


def uid_text(uid: int | None) -> str:
    """A user in the query of a link."""
    return "daemon" if uid is None else str(uid)


def wanted_tenant(text: str) -> str:
    """The user of a query, by name or number; empty: it can be neither."""
    text = text.strip()
    return text if _NAME.fullmatch(text) else ""


def largest_first(
    uids: Iterable[int | None], *numbers: Mapping[int | None, int]
) -> list[int | None]:
    """The users with the largest of the first numbers first, then of the next; then by uid."""
    return sorted(
        uids, key=lambda uid: (*(-each.get(uid, 0) for each in numbers), -1 if uid is None else uid)
    )


def offered(owners: Mapping[int | None, int], names: Names) -> tuple[tuple[str, str], ...]:
    """The users to choose from, each as in a query and by name; sorted by name. `owners` has the
    number of vassals of each. At most MOST_OFFERED, those with the most vassals."""
    shown = islice(largest_first(owners, owners), MOST_OFFERED)
    return tuple(
        sorted(((uid_text(uid), names.of(uid)) for uid in shown), key=lambda each: each[1])
    )
