"""What the agent of a load balancer may do: section [balancer] of the file that says how to reach
the registry."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from emperor.model.duration import parse_duration
from emperor.model.fleet_policy import Policy
from emperor.model.setting_values import boolean, path_of
from emperor.model.settings import SettingsError, keys_of, line_of

SECTION = "balancer"
_NEVER = "never"


@dataclass(frozen=True, slots=True)
class BalancerSettings:
    """The value of each key."""

    list_file: Path
    take_in: bool
    move_after: float | None

    @property
    def policy(self) -> Policy:
        """Which changes of the table the agent makes by itself."""
        return Policy(self.move_after, self.take_in)


@dataclass(frozen=True, slots=True)
class BalancerKey:
    """One key: its name, its default, how a text becomes a value, and its meaning."""

    name: str
    default: str
    parse: Callable[[str], Any]
    help: str

    @property
    def field(self) -> str:
        """The attribute of `BalancerSettings` that holds the value."""
        return self.name.replace("-", "_")


def _time_of(text: str) -> float | None:
    if text == _NEVER:
        return None
    # Less is what a reboot takes.
    if (seconds := parse_duration(text)) < 60:
        raise ValueError("must be at least 1m, or never")
    return seconds


KEYS = (
    BalancerKey("list-file", "/var/lib/emperord-balancer/backends.lua", path_of,
        "the list of backends that is written, which web_server_file of init_backends.lua names"),
    BalancerKey("take-in", "false", boolean,
        "a new backend that has been registered for 30 s gets its share of the slots"),
    BalancerKey("move-after", _NEVER, _time_of,
        "the slots of a backend that is down for so long go to the others: 1h, or never"),
)  # fmt: skip


def read_balancer_settings(text: str, origin: str) -> BalancerSettings:
    """The settings from the text of a file named `origin`. Raises SettingsError."""
    known = [key.name for key in KEYS]
    written = keys_of(text, origin, SECTION, known, "emperord-balancer(8)")
    values: dict[str, Any] = {}
    for key in KEYS:
        value = written.get(key.name, key.default)
        try:
            values[key.field] = key.parse(value)
        except ValueError as error:
            where = f"{origin}, line {line_of(key.name, text, SECTION)}"
            raise SettingsError(
                f"cannot use {key.name} = {value!r} from {where}: {error}"
            ) from error
    return BalancerSettings(**values)


assert [key.field for key in KEYS] == [field.name for field in fields(BalancerSettings)]
