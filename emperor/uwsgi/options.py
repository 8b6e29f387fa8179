"""What only uWSGI knows of a vassal: how it is given its socket, and what else it is told."""

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Literal

from emperor.model.spec import RuntimeOptions, Spec, WireProtocol

# uWSGI's options for a socket whose connections are encrypted.
SSL_SOCKETS = frozenset({"suwsgi-socket", "ssl-socket", "https-socket"})
# Options of core/uwsgi.c that add a socket for requests; there are no short names in an ini.
PROTOCOLS = {
    "socket": WireProtocol.UWSGI,
    "uwsgi-socket": WireProtocol.UWSGI,
    "suwsgi-socket": WireProtocol.TLS,
    "ssl-socket": WireProtocol.TLS,
    "puwsgi-socket": WireProtocol.PERSISTENT_UWSGI,
    "http-socket": WireProtocol.HTTP,
    "http11-socket": WireProtocol.HTTP,
    "https-socket": WireProtocol.TLS,
    "fastcgi-socket": WireProtocol.FASTCGI,
    "fastcgi-nph-socket": WireProtocol.FASTCGI,
    "scgi-socket": WireProtocol.SCGI,
    "scgi-nph-socket": WireProtocol.SCGI,
    "raw-socket": WireProtocol.RAW,
}
# Values of uWSGI's option `protocol` (uwsgi_protocols_register of core/protocol.c). It applies to
# sockets whose own option names none.
PROTOCOL_NAMES = {
    "uwsgi": WireProtocol.UWSGI,
    "puwsgi": WireProtocol.PERSISTENT_UWSGI,
    "http": WireProtocol.HTTP,
    "http11": WireProtocol.HTTP,
    "fastcgi": WireProtocol.FASTCGI,
    "fastcgi-nph": WireProtocol.FASTCGI,
    "scgi": WireProtocol.SCGI,
    "scgi-nph": WireProtocol.SCGI,
    "raw": WireProtocol.RAW,
    "https": WireProtocol.TLS,
    "https2": WireProtocol.TLS,
    "suwsgi": WireProtocol.TLS,
}

# The largest packet of the uwsgi protocol, and so the largest buffer-size.
PACKET_BYTES = 65_535


class Adoption(Enum):
    """How uWSGI is told that its socket exists already (measured; see docs/decisions)."""

    BY_FD = "fd://"
    BY_NAME = "UWSGI_RELOADS"


@dataclass(frozen=True, slots=True)
class UwsgiOptions(RuntimeOptions):
    """What only uWSGI knows of a vassal. `socket_option` gives uWSGI the socket (`socket`,
    `http-socket`, ...), and `names_socket` tells whether the ini itself has that option.
    `need_app`: a start fails without an app. `overrules_idle`: a file that the ini includes says
    another `idle` than what counts. `binary` is another uWSGI than the daemon's, if it is not
    empty. `python_home` is the home of its Python while the ini names none; None stands for the
    launcher's, and an empty text leaves the choice to uWSGI. `defaults` is the digest of the file
    of defaults that uWSGI reads before the ini, if it is not empty. `can_pause`: its workers handle
    one request at once, in the loop of uWSGI, which can be paused. `may_be_dying`: it has a hook
    after whose failure uWSGI serves on and passes no stop on. `vacuums`: its end deletes files by
    their paths, which a successor may have made anew. `pidfiles` are where it may write its pid.
    `home` is the home of Python that the ini names, empty for none. `by_exec` is why the app cannot
    be forked from a base, as an option of its ini, empty if it can. `has_home_base`: it may be
    forked from a base of its virtual environment. `variables` of the environment are set by the
    ini."""

    name: Literal["uwsgi"] = "uwsgi"
    socket_option: str = "socket"
    names_socket: bool = True
    adoption: Adoption = Adoption.BY_FD
    need_app: bool = False
    overrules_idle: bool = False
    binary: str = ""
    python_home: str | None = None
    defaults: str = ""
    can_pause: bool = True
    may_be_dying: bool = False
    vacuums: bool = False
    counts_workers: bool = False
    pidfiles: tuple[str, ...] = ()
    home: str = ""
    by_exec: str = ""
    has_home_base: bool = True
    variables: tuple[str, ...] = ()

    @property
    def reports_loading(self) -> bool:
        """Byte 1 comes before the first worker is forked, except after an adoption by name."""
        return self.adoption is Adoption.BY_FD


# One object for all equal options, if they are common: 10,000 of them take 0.8 MB, and to make them
# takes 5 µs each.
shared = lru_cache(maxsize=64)(UwsgiOptions)


def uwsgi_options(spec: Spec) -> UwsgiOptions:
    """The options of a vassal that uWSGI runs."""
    assert isinstance(spec.runtime, UwsgiOptions), spec.runtime.name
    return spec.runtime
