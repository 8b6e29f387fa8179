"""Which limits were reached, as the control API tells it of tenants and of apps."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from types import MappingProxyType

from emperor.linux.accounts import SystemAccounts
from emperor.linux.group_names import app_group, domain_of, uid_of
from emperor.linux.groups import ControlGroups
from emperor.model.admission import Limit
from emperor.model.authority import Caller
from emperor.model.spec import Spec
from emperor.model.status import AppHits, LimitHits

_MOST_APPS = 10


def limit_hits(
    groups: ControlGroups,
    accounts: SystemAccounts,
    caller: Caller,
    turned_away: Mapping[tuple[int | None, Limit], int] = MappingProxyType({}),
) -> tuple[LimitHits, ...]:
    """What the tenants that exist for the caller have reached until now, by their names: limits of
    their control groups, and limits for which their requests were turned away."""
    totals, apps = groups.hits.totals(), groups.hits.apps_by_limit()
    reached: list[tuple[int | None, str, int, tuple[str, ...]]] = [
        (uid_of(group), limit.value, number, _domains(apps.get((group, limit), [])))
        for (group, limit), number in totals.items()
    ]
    reached += [(uid, limit.label, number, ()) for (uid, limit), number in turned_away.items()]
    told = [
        LimitHits(accounts.name(uid), limit, number, domains)
        for uid, limit, number, domains in reached
        if caller.sees(uid)
    ]
    return tuple(sorted(told, key=lambda hits: (hits.tenant, hits.limit)))


def hits_of_app(groups: ControlGroups, spec: Spec) -> tuple[AppHits, ...]:
    """What the processes of an app have reached until now, by the names of the limits."""
    reached = groups.hits.of_app(group_of_app(spec))
    told = (
        AppHits(limit.value, each.hits, datetime.fromtimestamp(each.last, UTC))
        for limit, each in reached.items()
    )
    return tuple(sorted(told, key=lambda hits: hits.limit))


def group_of_app(spec: Spec) -> str:
    """The name of the control group around the processes of an app."""
    return app_group(os.geteuid() if spec.identity is None else spec.identity.uid, spec.domain)


def _domains(apps: list[str]) -> tuple[str, ...]:
    """The domains of these groups. The groups of what emperord does for a tenant are named after no
    host."""
    domains = (domain_of(app) for app in apps)
    return tuple(islice((each for each in domains if not each.startswith(".")), _MOST_APPS))
