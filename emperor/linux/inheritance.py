"""Descriptors by name that this process was given at its start: by systemd, which holds sockets and
keeps what it was asked to keep (sd_listen_fds(3)), or by the same daemon before execv(2)."""

import os
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import suppress

_FROM_OURSELVES = "EMPERORD_FDS"
_FIRST_OF_SYSTEMD = 3


def inherited(environment: MutableMapping[str, str]) -> dict[str, int]:
    """Each by its name, close-on-exec from here on; of two with one name the first, the other is
    closed. The variables are taken out: their numbers mean nothing to anybody else."""
    found: dict[str, int] = {}
    for name, fd in [*_from_systemd(environment), *_from_ourselves(environment)]:
        with suppress(OSError):  # somebody else's word for a number that means nothing
            os.set_inheritable(fd, False)
            if found.setdefault(name, fd) != fd:
                os.close(fd)
    return found


def bequeath(fds: Mapping[str, int]) -> tuple[str, str]:
    """Have these survive execv(2), under their names. The variable that tells of them."""
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
