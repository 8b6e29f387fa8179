"""What a vassal is: the frozen specification that an ini and the settings add up to."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from operator import attrgetter
from typing import Any

from msgspec import Struct

from emperor.model.limits import Own

# sun_path holds 108 bytes with the closing NUL (unix(7)).
SOCKET_PATH_BYTES = 107


class Activation(Enum):
    """Who may connect while the app does not accept: nobody (the fallback asks), or everybody."""

    FALLBACK = "fallback"
    SOCKET = "socket"


class OnChange(Enum):
    """Whether a changed ini boots a successor beside the old process, or after its end."""

    OVERLAP = "overlap"
    RESTART = "restart"


class Repeat(Enum):
    """Which requests run once more if their app ended the connection without an answer: none, or
    those with a safe method (RFC 9110, 9.2.1)."""

    NEVER = "never"
    SAFE = "safe"


class Once(Enum):
    """Whether an app may run on one machine of its fleet alone: no; yes, as long as the registry
    answers; yes, and it rather does not run at all."""

    NO = "false"
    SOFT = "soft"
    STRICT = "true"


class Bases(Enum):
    """Whether apps are forked from preloaded interpreters where that can be."""

    AUTO = "auto"
    STANDARD = "standard"
    OFF = "off"


class WireProtocol(Enum):
    """What an app speaks on its socket. TLS: any protocol, encrypted."""

    UWSGI = "uwsgi"
    PERSISTENT_UWSGI = "puwsgi"
    HTTP = "http"
    FASTCGI = "fastcgi"
    SCGI = "scgi"
    RAW = "raw"
    TLS = "tls"


# The next number stands for "no change" to the kernel: setresuid(2) would leave root what it is.
LAST_ID = 2**32 - 2


def numeric_id(text: str) -> int | None:
    """The number of a user or group; None for a name, and for a number that none can have."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= 10
    return int(text) if is_number and int(text) <= LAST_ID else None


@dataclass(frozen=True, slots=True)
class Identity:
    """The user that all processes of a vassal run as. `user` is None for a number without an entry
    in passwd. `home` is its folder: another one makes no other user."""

    uid: int
    gid: int
    user: str | None
    home: str = field(default="/", compare=False)


class Stamp(Struct, frozen=True, gc=False):
    """Tells one version of an ini from the next, and names the owner of the file.

    There is one for each ini, so it has no header for the garbage collector."""

    inode: int
    mtime_ns: int
    size: int
    uid: int
    gid: int

    def is_of_another_file(self, other: "Stamp") -> bool:
        """Whether the file was replaced, or has another owner."""
        return (self.inode, self.uid, self.gid) != (other.inode, other.uid, other.gid)


@dataclass(frozen=True, slots=True)
class InheritedSocket:
    """A socket besides the vassal's own that a successor takes over from the process before it.
    `spelled` is how the ini writes the `address`, and `line` where."""

    address: str
    spelled: str
    line: int


class RuntimeOptions(ABC):
    """What only the runtime of a vassal knows about it. A runtime is a kind of app server, with the
    code that reads its definitions and launches its processes.

    A subclass is a frozen dataclass, so that it can be compared and saved.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of the runtime."""

    @property
    @abstractmethod
    def reports_loading(self) -> bool:
        """Whether a process says `Message.LOADED` before it can accept a connection."""


@dataclass(frozen=True, slots=True)
class Spec:
    """All that the daemon must know to serve one domain. Times are in seconds.

    `taken_aliases` are those that the ini names and another ini has, so that they are not among the
    `aliases`. `head_bytes` is the size of a request's head, with the parameters of nginx, that the
    app takes.
    `socket` is the path that is bound, in the spelling of the ini. uWSGI adopts a socket whose name
    equals its own option letter by letter, and unlinks a socket that is merely the same file.
    `foreign_sockets` are the addresses of the other sockets, and `inherited` those of them that can
    pass from one process of the app to the next. `drops_to` are the users and groups to which a
    runtime that is started as root changes by itself, in the words of the ini. `no_new_privs`: no
    program gives its processes further rights by setuid, setgid or file capabilities (prctl(2)).
    `once` counts in a fleet with a registry alone.
    """

    domain: str
    ini: str
    socket: str
    runtime: RuntimeOptions
    protocol: WireProtocol = WireProtocol.UWSGI
    activation: Activation = Activation.FALLBACK
    on_change: OnChange = OnChange.OVERLAP
    repeat: Repeat = Repeat.NEVER
    idle: int = 93600
    start_timeout: float = 60.0
    stop_timeout: float = 60.0
    backlog: int = 4096
    identity: Identity | None = None
    aliases: tuple[str, ...] = ()
    foreign_sockets: tuple[str, ...] = ()
    head_bytes: int = 65_535
    inherited: tuple[InheritedSocket, ...] = ()
    limits: Own | None = None
    drops_to: str = ""
    no_new_privs: bool = True
    taken_aliases: tuple[str, ...] = ()
    once: Once = Once.NO

    @property
    def runs_as(self) -> tuple[Identity | None, str]:
        """Equal for two specs whose processes run as the same user and group."""
        return self.identity, self.drops_to

    @property
    def owner(self) -> int | None:
        """The user whose vassal it is: the one that its processes run as. None: the user of the
        daemon, whose vassals are the administrators'."""
        return self.identity.uid if self.identity else None

    @property
    def never_sleeps(self) -> bool:
        """Whether the app runs always, from the start of the daemon on."""
        return self.idle == 0

    @property
    def is_always_open(self) -> bool:
        """Whether nginx can connect while the app does not accept."""
        return self.activation is Activation.SOCKET

    @property
    def overlaps(self) -> bool:
        """Whether two processes of this app may run at the same moment."""
        return self.on_change is OnChange.OVERLAP

    def can_boot_beside(self, running: "Spec") -> bool:
        """Whether a process by this spec may boot while one by `running` serves. Both must name a
        socket that passes from one to the other in the same way."""
        if not self.overlaps:
            return False
        theirs = {socket.address: socket.spelled for socket in running.inherited}
        taken = {_port(address) for address in running.foreign_sockets} - {None}
        return not self.inherited or (
            running.overlaps
            and all(
                theirs[socket.address] == socket.spelled
                if socket.address in theirs
                else socket.address not in running.foreign_sockets
                and _port(socket.address) not in taken
                for socket in self.inherited
            )
        )


def _port(address: str) -> str | None:
    """The port of an address like HOST:PORT; None for a path and an abstract name."""
    return None if address.startswith(("/", "@")) else address.rpartition(":")[2]


_NAMES = tuple(each.name for each in fields(Spec))
_values_of = attrgetter(*_NAMES)


def with_values(spec: Spec, values: Mapping[str, Any]) -> Spec:
    """What `dataclasses.replace` returns, in half the time: there may be thousands of specs."""
    own = dict(zip(_NAMES, _values_of(spec), strict=True))
    own.update(values)
    return Spec(**own)
