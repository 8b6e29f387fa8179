"""What the agent of a load balancer may do: section [balancer] of the file that says how to reach
the registry."""

from dataclasses import dataclass, fields
from pathlib import Path

from emperor.model.duration import parse_duration
from emperor.model.fleet_policy import Policy
from emperor.model.section import SectionKey, values_of
from emperor.model.setting_values import boolean, optional_path, path_of

SECTION = "balancer"
_NEVER = "never"


@dataclass(frozen=True, slots=True)
class BalancerSettings:
    """The value of each key."""

    list_file: Path
    take_in: bool
    move_after: float | None
    metrics_file: Path | None

    @property
    def metrics(self) -> Path:
        """The file with the metrics."""
        return self.metrics_file or self.list_file.with_name("metrics.prom")

    @property
    def policy(self) -> Policy:
        """Which changes of the table the agent makes by itself."""
        return Policy(self.move_after, self.take_in)


def _time_of(text: str) -> float | None:
    if text == _NEVER:
        return None
    # Less is what a reboot takes.
    if (seconds := parse_duration(text)) < 60:
        raise ValueError("must be at least 1m, or never")
    return seconds


KEYS = (
    SectionKey("list-file", "/var/lib/emperord-balancer/backends.lua", path_of,
        "the list of backends that is written, which web_server_file of init_backends.lua names"),
    SectionKey("take-in", "false", boolean,
        "a new backend that has been registered for 30 s gets its share of the slots"),
    SectionKey("move-after", _NEVER, _time_of,
        "the slots of a backend that is down for so long go to the others: 1h, or never"),
    SectionKey("metrics-file", "", optional_path,
        "the agent's metrics, for node_exporter; by default metrics.prom beside list-file"),
)  # fmt: skip


def read_balancer_settings(text: str, origin: str) -> BalancerSettings:
    """The settings from the text of a file named `origin`. Raises SettingsError."""
    manual = "emperord-balancer(8)"
    return BalancerSettings(**values_of(KEYS, text, origin, SECTION, manual))


assert [key.field for key in KEYS] == [field.name for field in fields(BalancerSettings)]
