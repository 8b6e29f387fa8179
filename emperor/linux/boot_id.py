"""The identifier of this boot of the machine."""

from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """A name that the kernel gives to each boot, random(4)."""
    return _BOOT_ID.read_text(encoding="ascii").strip()
