"""Whether a daemon that a test starts can limit its apps by control groups."""

from pathlib import Path

import pytest

_GROUPS = Path("/sys/fs/cgroup")
_IN_V1 = ("cpu", "blkio", "memory", "pids")


def expected_at_a_start() -> list[str]:
    """Patterns of warnings in the log of the daemon. In v2 a daemon gets controllers from systemd,
    of which it is no service here, or where it runs in the root group."""
    is_v1 = all(Path(_GROUPS, name, "cgroup.procs").exists() for name in _IN_V1)
    return [] if is_v1 else ["WARNING cannot limit [a-z, ]+ of apps: "]


def _tells_use() -> bool:
    """Whether the groups of the daemon tell what they use of the CPU: those of v2, or those of v1
    with cpuacct beside cpu."""
    v1 = Path(_GROUPS, "cpu/cpuacct.usage")
    return v1.exists() or any(Path(_GROUPS, v2, "cgroup.procs").exists() for v2 in ("", "unified"))


# Where the kernel does not tell who waits for the CPU, nobody yields it.
needs_yielding = pytest.mark.skipif(
    not (
        Path("/proc/pressure/cpu").exists()
        and Path(_GROUPS, "cpu/cpu.idle").exists()
        and _tells_use()
    ),
    reason="this kernel has no PSI or no cpu.idle, or v1 has cpu and cpuacct apart",
)

# A hog without a limit would take what others on this machine need.
needs_controllers = pytest.mark.skipif(
    bool(expected_at_a_start()), reason="a daemon that is no service of systemd limits nothing here"
)
