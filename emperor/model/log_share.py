"""Decides which lines about apps are written to the log of the daemon.

An app can cause events without end, for example by going to sleep again and again. So each app has
so many lines, and so have all apps of a tenant. A tenant has more of them with each app: an
administrator may touch all inis.
"""

from collections import Counter
from dataclasses import dataclass

# How many in a row, and then how many in a second. A start and a sleep are five lines.
_OF_APP, _OF_APP_PER_SECOND = 200, 1.0
_OF_TENANT, _OF_TENANT_PER_SECOND = 1000, 10.0
_MORE_FOR_EACH_APP = 20
# So many are known before those are forgotten that have written nothing lately.
_MOST_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class Written:
    """A line is written. `left_out` lines of the same app were not, since the last one; `is_last`:
    the next ones will not be."""

    left_out: int
    is_last: bool


class LogShare:
    """Counts the lines of each app, by its domain, and of each tenant."""

    def __init__(self) -> None:
        # Until when the lines so far would take at the number per second, in monotonic seconds.
        self._apps: dict[str, float] = {}
        self._tenants: dict[int | None, float] = {}
        self._left_out: Counter[str] = Counter()

    def line(self, domain: str, tenant: int | None, apps: int | None, now: float) -> Written | None:
        """Whether a line about `domain` is written now. `apps`: how many the tenant has; None: it
        is the only one, and has no limit as a whole."""
        app_end = max(self._apps.get(domain, now), now) + 1 / _OF_APP_PER_SECOND
        tenant_end = max(self._tenants.get(tenant, now), now)
        most = 0.0
        if apps is not None:
            tenant_end += 1 / _OF_TENANT_PER_SECOND
            most = (_OF_TENANT + _MORE_FOR_EACH_APP * apps) / _OF_TENANT_PER_SECOND
        rest = _OF_APP / _OF_APP_PER_SECOND - (app_end - now)
        rest_of_tenant = most - (tenant_end - now) if apps is not None else rest
        if rest < 0 or rest_of_tenant < 0:
            self._left_out[domain] += 1
            return None
        self._apps[domain], self._tenants[tenant] = app_end, tenant_end
        if len(self._apps) > _MOST_KNOWN:
            self._forget_quiet(now)
        is_last = rest < 1 / _OF_APP_PER_SECOND or rest_of_tenant < 1 / _OF_TENANT_PER_SECOND
        return Written(self._left_out.pop(domain, 0), is_last)

    def _forget_quiet(self, now: float) -> None:
        self._apps = {domain: end for domain, end in self._apps.items() if end > now}
        self._tenants = {tenant: end for tenant, end in self._tenants.items() if end > now}
