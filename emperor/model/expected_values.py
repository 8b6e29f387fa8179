"""What `emperorctl doctor` expects of the kernel's settings and of systemd's units, as tables."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class Weight(Enum):
    """OPEN: somebody can do harm, or something does not work. NOTE: it is good to know."""

    OPEN = "open"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Expected:
    """What the text of a value should be. `why` is what happens otherwise."""

    name: str
    is_met: Callable[[str], bool]
    weight: Weight
    why: str
    cure: str


def _at_least(least: int) -> Callable[[str], bool]:
    def is_met(text: str) -> bool:
        return text == "infinity" or (text.isdecimal() and int(text) >= least)

    return is_met


def _equals(*wanted: str) -> Callable[[str], bool]:
    return lambda text: text in wanted


def _without(*words: str) -> Callable[[str], bool]:
    return lambda text: not {*words} & {*text.split()}


def _names_some(text: str) -> bool:
    return text.removeprefix("~") != ""  # the sign of a list of what is denied


_AS_SHIPPED = "`systemctl cat emperord` says who has changed what the unit came with"

OF_SYSCTLS = (
    Expected("fs.protected_hardlinks", _at_least(1), Weight.OPEN,
          "a tenant can link another's file into a folder of its own, and have nginx send it",
          "sysctl -w fs.protected_hardlinks=1"),
    Expected("fs.protected_symlinks", _at_least(1), Weight.OPEN,
          "a tenant's link in /tmp leads other users to another file",
          "sysctl -w fs.protected_symlinks=1"),
    Expected("fs.protected_fifos", _at_least(1), Weight.NOTE,
          "a tenant's pipe in /tmp can take what another user writes",
          "sysctl -w fs.protected_fifos=1"),
    Expected("fs.protected_regular", _at_least(1), Weight.NOTE,
          "a tenant's file in /tmp can take what another user writes",
          "sysctl -w fs.protected_regular=2"),
    Expected("fs.suid_dumpable", _equals("0", "2"), Weight.OPEN,
          "a tenant can trace a process that has become its user, and so has what root gave it",
          "sysctl -w fs.suid_dumpable=0"),
    Expected("kernel.unprivileged_bpf_disabled", _at_least(1), Weight.NOTE,
          "every tenant can load programs into the kernel",
          "sysctl -w kernel.unprivileged_bpf_disabled=1"),
    Expected("kernel.pid_max", _at_least(65536), Weight.NOTE,
          "many apps can use all process ids up, and then nothing starts",
          "sysctl -w kernel.pid_max=4194304"),
)  # fmt: skip

OF_UNIT = (
    Expected("NeedDaemonReload", _equals("no"), Weight.OPEN,
          "systemd has not read the units that are installed", "systemctl daemon-reload"),
    Expected("KillMode", _equals("process"), Weight.OPEN,
          "systemd ends all apps when the daemon ends", "set KillMode=process"),
    Expected("Restart", _equals("always"), Weight.OPEN,
          "a daemon that dies stays dead", "set Restart=always"),
    Expected("NotifyAccess", _equals("main"), Weight.OPEN,
          "apps can speak to systemd in the daemon's name", "set NotifyAccess=main"),
    Expected("FileDescriptorStoreMax", _at_least(2), Weight.OPEN,
          "a crash of the daemon loses the sockets", "set FileDescriptorStoreMax=8"),
    Expected("OOMPolicy", _equals("continue"), Weight.OPEN,
          "systemd stops all apps when one runs out of memory", "set OOMPolicy=continue"),
    Expected("OOMScoreAdjust", lambda text: text.startswith("-"), Weight.OPEN,
          "the kernel may end the daemon for the memory of an app", "set OOMScoreAdjust=-900"),
    Expected("TasksMax", _equals("infinity"), Weight.NOTE,
          "the processes of all apps together are limited", "set TasksMax=infinity"),
    Expected("ProtectProc", _equals("invisible"), Weight.OPEN,
          "tenants see each other's processes and command lines", "set ProtectProc=invisible"),
    Expected("ProtectSystem", _equals("yes", "full", "strict"), Weight.NOTE,
          "an app that runs as root can write to /usr", "set ProtectSystem=yes"),
    Expected("PrivateDevices", _equals("yes"), Weight.NOTE,
          "an app that runs as root can read and write disks", "set PrivateDevices=yes"),
    Expected("CapabilityBoundingSet", _without("cap_sys_module", "cap_sys_rawio"), Weight.NOTE,
          "an app that runs as root can change the kernel", _AS_SHIPPED),
    Expected("SystemCallFilter", _names_some, Weight.NOTE,
          "an app that runs as root can make every system call", _AS_SHIPPED),
)  # fmt: skip

OF_APPS_UNIT = (
    Expected("ActiveState", _equals("active"), Weight.OPEN,
          "apps that start have no control group, and so no limits",
          "`journalctl --unit emperord-apps` says why; then systemctl start emperord-apps"),
    Expected("Delegate", _equals("yes"), Weight.OPEN,
          "systemd may take the control groups of apps away", "set Delegate=yes"),
    Expected("NeedDaemonReload", _equals("no"), Weight.OPEN,
          "systemd has not read the units that are installed", "systemctl daemon-reload"),
)  # fmt: skip
