"""What `emperorctl doctor` has looked at on a machine. None stands for what could not be seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from emperor.model.settings import Settings


@dataclass(frozen=True, slots=True)
class CheckedPath:
    """A file or folder of emperord's. `role` is what it is, in words. `changer` is the file or
    folder on the way to it that others than root can change, empty for none. `is_open`: every user
    may list or read it, which is a fault where it `is_secret`."""

    path: str
    role: str
    changer: str
    is_open: bool
    is_secret: bool = False


@dataclass(frozen=True, slots=True)
class CheckedSocket:
    """A socket that is not for every user. `gain` is what somebody gets who connects to it, and
    `unit` the unit of systemd that makes it; `is_open`: every user may connect."""

    path: str
    gain: str
    unit: str
    is_open: bool


@dataclass(frozen=True, slots=True)
class IniFile:
    """An ini of the folder. `user` is the name of the user that the app runs as, as far as the ini
    tells without uWSGI; `is_open`: other users can write it. `start_timeout` is how many seconds
    the app may take to start, None for one that is not served."""

    name: str
    user: str | None
    is_open: bool
    start_timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Value:
    """A named value as text: a sysctl, or a property of the unit."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class NginxFacts:
    """nginx's configuration. `refusal` is why nginx refuses it, empty if it does not; the rest is
    empty then. `asks_seconds`: how long it waits for emperord's answer. `trusted`: the addresses
    whose X-Forwarded-For it believes. `shows_console`: some server passes visitors to the console,
    and does not ask who they are."""

    refusal: str
    user: str = ""
    asks_seconds: float | None = None
    trusted: tuple[str, ...] = ()
    shows_console: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """The daemon that runs. `version` is its own, and `open_files` its limit. `fleet_problem` is
    what separates it from its fleet, empty for nothing."""

    version: str
    open_files: int
    fleet_problem: str = ""


@dataclass(frozen=True, slots=True)
class Agent:
    """emperord-balancer, where it is enabled. `is_alone`: emperord is not enabled beside it, as on
    a load balancer."""

    is_active: bool
    is_alone: bool


class Ability(Enum):
    """What emperord uses of a file system."""

    APPEND_ONLY = "append-only files"
    MARKS = "attributes for root"
    ACCESS_LISTS = "access lists"


@dataclass(frozen=True, slots=True)
class Survey:
    """All that `emperorctl doctor` has seen of a machine. `members` are the users in the sockets'
    group, `operators` those in emperor's group. `uwsgi_version` is empty if uWSGI does not run;
    `controllers` are those by which vassals can have limits. `agent` is None where
    emperord-balancer is not enabled. `cannot_yield` is why no tenant can yield the CPU, empty if it
    can. `nginx_oom_score` is what is added to the score by which the kernel chooses a process to
    kill without memory (proc_pid_oom_score_adj(5)); None where systemd runs no nginx. `unit` and
    `apps_unit` are properties of emperord.service and of emperord-apps.service, that one's only
    where systemd runs the daemon. `lacking` is what the file systems of log-dir and run-dir cannot
    do. `has_python`: uWSGI has its plugin for Python, or `vassal-defaults` names one."""

    settings: Settings
    version: str
    paths: Sequence[CheckedPath]
    sockets: Sequence[CheckedSocket]
    inis: Sequence[IniFile]
    sysctls: Sequence[Value]
    members: Sequence[str]
    operators: Sequence[str]
    nginx: NginxFacts | None
    unit: Sequence[Value]
    service: Service | None
    uwsgi_version: str
    controllers: frozenset[str]
    swap_bytes: int
    agent: Agent | None = None
    cannot_yield: str = ""
    nginx_oom_score: int | None = None
    apps_unit: Sequence[Value] = ()
    lacking: frozenset[Ability] = frozenset()
    has_python: bool = True

    @property
    def is_balancer(self) -> bool:
        """Whether no app is to run on this machine."""
        return self.service is None and self.agent is not None and self.agent.is_alone
