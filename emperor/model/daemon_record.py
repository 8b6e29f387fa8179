"""The record that a daemon leaves to the next one, and the settings that the next one may have."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import msgspec

from emperor.model.limits import LIMITS
from emperor.model.settings import Settings
from emperor.model.snapshot import FORMAT, Stale

# Sockets and processes of the running daemon use these paths, and so does nginx.
_FIXED = ("vassals_dir", "sockets_dir", "run_dir")
# The daemon uses these itself: no Spec depends on them.
_NOT_IN_SPECS = frozenset({
    "page_after", "max_held", "max_held_per_domain", "max_starting", "max_running",
    "throttle_first", "throttle_max", "provision_command", "provision_timeout",
    "registry_forget", "notify_command", "notify_url", "notify_secret_file",
    "wake_header", "cpu_yield",
    "log_max_size", "pages_dir", "control_group", "socket_mode",
    "history_max_age", "history_max_rows", "metrics_vassals",
    "registry_config", "fleet_address", "fleet_weight",
    *(limit.field for limit in LIMITS),
    *(f"tenant_{limit.field}" for limit in LIMITS),
})  # fmt: skip


# A Spec has these as they are, under the same names, unless its ini sets them itself. Nothing else
# in it depends on them.
TAKEN = frozenset({"start_timeout", "stop_timeout", "repeat", "no_new_privs"})


class Outdated(Enum):
    """What is outdated in the Specs that an earlier daemon has made. TAKEN: no more than the
    settings of `TAKEN`."""

    NOTHING = "nothing"
    TAKEN = "taken"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class FdRecord:
    """A descriptor beside the record. `is_ours`: an emperord has made it, and removes its path when
    it stops. Otherwise systemd holds it."""

    name: str
    is_ours: bool


@dataclass(frozen=True, slots=True)
class DaemonRecord:
    """What is kept of one daemon. `taken_fingerprint` changes with each setting of `TAKEN`, and
    `config_fingerprint` with the version and with each other setting on which a Spec depends. `fds`
    are in the order of the descriptors."""

    config_fingerprint: str
    vassals_dir: str
    sockets_dir: str
    run_dir: str
    fds: tuple[FdRecord, ...] = ()
    format: Literal[2] = FORMAT
    taken_fingerprint: str = ""


_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[DaemonRecord] = msgspec.msgpack.Decoder(DaemonRecord)


def record_of(version: str, settings: Settings, fds: tuple[FdRecord, ...] = ()) -> DaemonRecord:
    """The record of a daemon with these settings."""
    places = (str(settings.vassals_dir), str(settings.sockets_dir), str(settings.run_dir))
    return DaemonRecord(
        _config_fingerprint(version, settings), *places, fds,
        taken_fingerprint=_fingerprint(settings, TAKEN),
    )  # fmt: skip


def outdated(record: DaemonRecord | None, version: str, settings: Settings) -> Outdated:
    """What is outdated in the Specs of the daemon of `record`, None where there was none, for a
    daemon of this version with these settings."""
    if record is None or record.config_fingerprint != _config_fingerprint(version, settings):
        return Outdated.ALL
    is_same = record.taken_fingerprint == _fingerprint(settings, TAKEN)
    return Outdated.NOTHING if is_same else Outdated.TAKEN


def _config_fingerprint(version: str, settings: Settings) -> str:
    names = {field.name for field in fields(settings)} - _NOT_IN_SPECS - TAKEN
    return f"{version} {_fingerprint(settings, names)}"


def _fingerprint(settings: Settings, names: Iterable[str]) -> str:
    return str({name: getattr(settings, name) for name in sorted(names)})


def encode(record: DaemonRecord) -> bytes:
    """The record as bytes."""
    return _ENCODER.encode(record)


def decode(data: bytes) -> DaemonRecord:
    """The record of these bytes. Raises Stale for another format, and for anything else."""
    try:
        return _DECODER.decode(data)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Stale(str(error)) from error


def keep_fixed_paths(record: DaemonRecord, settings: Settings) -> tuple[Settings, tuple[str, ...]]:
    """The settings for the successor of the daemon of `record`, with that daemon's fixed paths; and
    a text for each wanted path that needs a stop."""
    kept: dict[str, Any] = {}
    unchanged = []
    for field in _FIXED:
        is_set, wanted = Path(getattr(record, field)), getattr(settings, field)
        if is_set != wanted:
            kept[field] = is_set
            unchanged.append(f"{field.replace('_', '-')} = {wanted} (it stays {is_set})")
    return (replace(settings, **kept) if kept else settings), tuple(unchanged)
