"""Separates a run of the tests from the machine that it runs on, and from other runs beside it.

The run gets a network namespace of its own, so no other process can take its ports, and a mount
namespace of its own, in which the files of an emperord that is installed here are hidden.
"""

import ctypes
import os
import subprocess
from pathlib import Path

from pyroute2 import IPRoute

_CLONE_NEWNS = 0x0002_0000
_CLONE_NEWNET = 0x4000_0000

# The folders of an installation. The daemon and emperorctl read some of them by default.
FOLDERS = (
    "/etc/nginx/certs",
    "/etc/nginx/emperord",
    "/etc/nginx/lua",
    "/etc/uwsgi",
    "/opt/emperord",
    "/run/emperord",
    "/var/log/emperord",
    "/var/sockets",
)


def leave() -> None:
    """Move the calling thread, and all that it starts from now on, out of the host's namespaces.

    Needs root. Raises OSError.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS | _CLONE_NEWNET):
        error = ctypes.get_errno()
        raise OSError(error, f"cannot leave the host's namespaces: {os.strerror(error)}")
    _run("mount", "--make-rprivate", "/")
    with IPRoute() as links:
        (loopback,) = links.link_lookup(ifname="lo")
        links.link("set", index=loopback, state="up")
    for folder in FOLDERS:
        if Path(folder).is_dir():
            _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", folder)


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
