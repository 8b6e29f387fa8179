"""Decides whether an app may run on one machine of a fleet alone."""

from collections.abc import Mapping

from emperor.model.setting_values import boolean
from emperor.model.spec import Once
from emperor.uwsgi.ini import Ini, Option

# Processes beside the workers. They would run twice, or cannot, while a successor boots.
HELPERS = frozenset({
    "mule", "mules", "farm", "spooler", "spooler-external",
    "cron", "cron2", "unique-cron", "legion-cron", "cron-legion", "unique-legion-cron",
    "unique-cron-legion",
    "attach-daemon", "attach-daemon2", "attach-control-daemon", "smart-attach-daemon",
    "smart-attach-daemon2", "legion-attach-daemon", "legion-smart-attach-daemon",
    "legion-smart-attach-daemon2",
})  # fmt: skip
_ONCE = {False: Once.NO, True: Once.STRICT}


def once_of(ini: Ini, last: Mapping[str, Option]) -> Once:
    """Whether an app may run on one machine of a fleet alone: as its ini says, else by whether it
    has jobs that would run twice. Raises BrokenIni."""
    option = ini.attribute("once")
    if option is None:
        return Once.NO if HELPERS.isdisjoint(last) else Once.SOFT
    try:
        return Once.SOFT if option.value == "soft" else _ONCE[boolean(option.value)]
    except ValueError as error:
        raise option.broken(
            f"cannot use once = {option.value!r} in [emperor]: {error}, or soft", ""
        ) from error
