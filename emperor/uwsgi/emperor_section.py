"""Reads from the section [emperor] of an ini the settings that it overrides for its vassal, and the
limits that it sets for itself. Raises BrokenIni for a value that makes no sense."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from emperor.model.limits import BY_NAME, LimitSettings, Own, contradiction
from emperor.model.settings import KEYS, Settings
from emperor.uwsgi.ini import Ini, Option

OVERRIDES = {
    key.name: key
    for key in KEYS
    if key.name in {
        "activation", "backlog", "bases", "byte-compile", "idle", "need-app", "no-new-privs",
        "on-change", "repeat", "start-timeout", "stop-timeout",
    }
}  # fmt: skip
_TIMEOUTS = frozenset({"start-timeout", "stop-timeout"})


class _Key(Protocol):
    @property
    def parse(self) -> Callable[[str], Any]:
        """How a text becomes a value. Raises ValueError."""


K = TypeVar("K", bound=_Key)


def overridden(settings: Settings, ini: Ini, is_roots: bool) -> Settings:
    """The settings for one vassal. The ini of a tenant can shorten timeouts and not lengthen them,
    since a stop of the machine waits for all vassals, and a boot holds requests."""
    values: dict[str, Any] = {}
    for option, key, value in _values(ini, OVERRIDES):
        values[key.field] = value
        if key.name in _TIMEOUTS and not is_roots:
            values[key.field] = min(value, getattr(settings, key.field))
        if key.name == "no-new-privs" and not (is_roots or value):
            cause = "no-new-privs = false may stand in an ini of root's alone"
            raise option.broken(cause, "drop it, or have root own the ini")
    return replace(settings, **values) if values else settings


def own_limits(ini: Ini, may_raise: bool) -> Own | None:
    """The limits of the ini; None where it has none. `may_raise`: it belongs to an administrator,
    and so may set higher ones than the settings do."""
    found = list(_values(ini, BY_NAME))
    if not found:
        return None
    wanted = LimitSettings(**{limit.field: value for _, limit, value in found})
    if why := contradiction(wanted):
        last, _, _ = found[-1]
        raise last.broken(f"cannot use the limits of [emperor]: {why}", "")
    return Own(wanted, may_raise)


def _values(ini: Ini, keys: Mapping[str, K]) -> Iterator[tuple[Option, K, Any]]:
    """The options of the section that are among these keys, with their values."""
    for option in ini.emperor:
        if (key := keys.get(option.key)) is None:
            continue
        try:
            value = key.parse(option.value)
        except ValueError as error:
            cause = f"cannot use {option.key} = {option.value!r} in [emperor]: {error}"
            raise option.broken(cause, "") from error
        yield option, key, value
