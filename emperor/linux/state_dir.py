"""The folder for what outlasts the daemon and reboots. systemd names it (StateDirectory= of the
unit)."""

from collections.abc import Mapping
from pathlib import Path


def named_state_dir(environ: Mapping[str, str]) -> Path | None:
    """The folder that systemd keeps for the daemon (StateDirectory=), if it does."""
    named = environ.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(named) if named.startswith("/") else None


def state_dir(environ: Mapping[str, str], run_dir: Path) -> Path:
    """The folder for what outlasts the daemon and is small: what systemd names, or else run-dir,
    which is in memory."""
    return named_state_dir(environ) or run_dir
