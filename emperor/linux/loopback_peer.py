"""The user of the process at the other end of a TCP connection on the loopback interface, from
/proc/net/tcp (proc_pid_net(5))."""

import socket
import struct
from pathlib import Path

# The state of a connection that nobody has closed (TCP_ESTABLISHED of <netinet/tcp.h>). The kernel
# counts a socket that its process has closed as root's.
_ESTABLISHED = "01"


def user_of(peer: tuple[str, int], here: tuple[str, int]) -> int | None:
    """The uid of the process that has connected from `peer` to `here`, IPv4 addresses with ports.
    None: the kernel does not tell, or the process has closed its end."""
    wanted = [_spelled(peer), _spelled(here), _ESTABLISHED]
    try:
        with Path("/proc/net/tcp").open(encoding="ascii") as table:
            # sl, local_address, rem_address, st, queues, tr and tm, retrnsmt, uid …
            rows = (line.split() for line in table if wanted[0] in line)
            return next((int(row[7]) for row in rows if row[1:4] == wanted), None)
    except OSError:
        return None


def _spelled(end: tuple[str, int]) -> str:
    """An address as that file has it: the number in the byte order of the machine."""
    (number,) = struct.unpack("=I", socket.inet_aton(end[0]))
    return f"{number:08X}:{end[1]:04X}"
