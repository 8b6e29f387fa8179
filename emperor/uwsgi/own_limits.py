"""Reads the limits that an ini sets for itself, in its section [emperor]."""

from typing import Any

from emperor.model.limits import BY_NAME, Own, Wanted, contradiction
from emperor.uwsgi.ini import Ini, Option


def own_limits(ini: Ini, may_raise: bool) -> Own | None:
    """The limits of the ini; None where it has none. `may_raise`: it belongs to an administrator.
    Raises BrokenIni for a value that makes no sense."""
    values: dict[str, Any] = {}
    last: Option | None = None
    for option in ini.emperor:
        if (limit := BY_NAME.get(option.key)) is None:
            continue
        try:
            values[limit.field] = limit.parse(option.value)
        except ValueError as error:
            cause = f"cannot use {option.key} = {option.value!r} in [emperor]: {error}"
            raise option.broken(cause, "") from error
        last = option
    if last is None:
        return None
    wanted = Wanted(**values)
    if why := contradiction(wanted):
        raise last.broken(f"cannot use the limits of [emperor]: {why}", "")
    return Own(wanted, may_raise)
