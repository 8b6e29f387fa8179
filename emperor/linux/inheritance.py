"""Descriptors by name that this process was given at its start: by systemd, which holds sockets and
keeps what it was asked to keep (sd_listen_fds(3)), or by the same daemon before execv(2)."""

import os
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import suppress

_FROM_OURSELVES = "EMPERORD_FDS"
_FIRST_OF_SYSTEMD = 3


def inherited(environment: MutableMapping[str, str]) -> dict[str, int]:
    """The descriptors by name, close-on-exec from here on. Of two with the same name the second is
    closed. The variables are removed: their numbers mean nothing to a child."""
    found: dict[str, int] = {}
    for name, fd in [*_from_systemd(environment), *_from_ourselves(environment)]:
        with suppress(OSError):  # a stale variable: that number is not open
            os.set_inheritable(fd, False)
            if found.setdefault(name, fd) != fd:
                os.close(fd)
    return found


def keep_across_exec(fds: Mapping[str, int]) -> tuple[str, str]:
    """Keep these open across execv(2). Returns the variable that lists them: name and value."""
    for fd in fds.values():
        os.set_inheritable(fd, True)
    return _FROM_OURSELVES, " ".join(f"{name}={fd}" for name, fd in fds.items())


def _from_systemd(environment: MutableMapping[str, str]) -> Iterator[tuple[str, int]]:
    pid = environment.pop("LISTEN_PID", "")
    count = environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    if pid == str(os.getpid()) and count.isdecimal():
        yield from zip(
            names, range(_FIRST_OF_SYSTEMD, _FIRST_OF_SYSTEMD + int(count)), strict=False
        )


def _from_ourselves(environment: MutableMapping[str, str]) -> Iterator[tuple[str, int]]:
    for word in environment.pop(_FROM_OURSELVES, "").split():
        name, _, fd = word.partition("=")
        if fd.isdecimal():
            yield name, int(fd)
