"""A detour for what a host sends, by which it arrives later: what netem does, which not every
kernel has."""

import fcntl
import os
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from pyroute2 import IPRoute

from tests.fleet.network import Cable, Network

_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
_ETH_P_ALL = 3
_SOL_PACKET, _PACKET_VNET_HDR, _PACKET_IGNORE_OUTGOING = 263, 15, 23
# A segment of TCP that the kernel has yet to divide, with the header that says so.
_LARGEST = 70_000


@contextmanager
def slow(cable: Cable, seconds: float) -> Iterator[None]:
    """What the host at the end of the cable sends arrives so many seconds later."""
    host, switch = cable.switch.within(lambda: _ends(cable))
    with closing(host), closing(switch):
        stop = threading.Event()
        carrier = threading.Thread(target=_carry, args=(host, switch, seconds, stop))
        carrier.start()
        try:
            yield
        finally:
            stop.set()
            carrier.join()
            _lead(cable.switch, cable.port, cable.bridge)


def _ends(cable: Cable) -> tuple[socket.socket, "_Tap"]:
    """A socket for what comes from the host and goes to it, and the bridge's new port."""
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    for option in (_PACKET_VNET_HDR, _PACKET_IGNORE_OUTGOING):
        packets.setsockopt(_SOL_PACKET, option, 1)
    packets.bind((socket.if_indextoname(cable.port), _ETH_P_ALL))
    tap = _Tap(f"slow-{cable.port}")
    with IPRoute() as links:
        (index,) = links.link_lookup(ifname=tap.name)
        links.link("set", index=cable.port, master=0)
        links.link("set", index=index, master=cable.bridge, state="up")
    return packets, tap


def _lead(network: Network, port: int, bridge: int) -> None:
    """Connect the port with the bridge."""

    def act() -> None:
        with IPRoute() as links:
            links.link("set", index=port, master=bridge)

    network.within(act)


class _Tap:
    """An interface whose packets a process reads and writes. It vanishes when it is closed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        flags = _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR
        fcntl.ioctl(self._fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))

    def fileno(self) -> int:
        return self._fd

    def recv(self, most: int) -> bytes:
        return os.read(self._fd, most)

    def send(self, packet: bytes) -> None:
        os.write(self._fd, packet)

    def close(self) -> None:
        os.close(self._fd)


def _carry(host: socket.socket, switch: _Tap, seconds: float, stop: threading.Event) -> None:
    """Pass packets on. One that cannot be sent is lost, as on any line."""
    under_way: deque[tuple[float, bytes]] = deque()
    while not stop.is_set():
        wait = under_way[0][0] - time.monotonic() if under_way else 0.1
        ready, _, _ = select.select(
            [host.fileno(), switch.fileno()], [], [], min(0.1, max(0.0, wait))
        )
        with suppress(OSError):
            if switch.fileno() in ready:
                host.send(switch.recv(_LARGEST))
        if host.fileno() in ready:
            under_way.append((time.monotonic() + seconds, host.recv(_LARGEST)))
        while under_way and under_way[0][0] <= time.monotonic():
            with suppress(OSError):
                switch.send(under_way.popleft()[1])
