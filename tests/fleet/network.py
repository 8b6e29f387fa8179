"""Networks of the test fleet: namespaces without a name, and a switch that connects them.

A namespace lives as long as somebody holds a descriptor of it, so a test that is killed leaves
nothing behind: the kernel takes the interfaces away with the process. No interface is ever in this
machine's own network.
"""

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pyroute2 import IPRoute, netns

T = TypeVar("T")

PREFIX_LENGTH = 24
# The name of every host's end of its cable.
INTERFACE = "eth0"


class Network:
    """The network of one host: a new one, or that of a process. `within` acts in it; `close` gives
    it up."""

    def __init__(self, pid: int | None = None) -> None:
        if pid is None:
            self.fd = _in_thread(_leave_for_a_new_one)
        else:
            self.fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    @property
    def path(self) -> str:
        """Where other processes find it, for nsenter(1)."""
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    def enter(self) -> None:
        """Move the calling thread into it, for good."""
        netns.setns(self.fd)

    def within(self, act: Callable[[], T]) -> T:
        """What `act` returns; the calling thread stays where it is."""

        def enter_and_act() -> T:
            self.enter()
            return act()

        return _in_thread(enter_and_act)

    def close(self) -> None:
        """Let go of the network, which vanishes with its last process."""
        os.close(self.fd)


class Cable:
    """A cable from a port of the switch to a host. Pulled, it swallows what is sent, and tells
    nobody but the host's own interface."""

    def __init__(self, switch: Network, bridge: int, port: int) -> None:
        self.switch = switch
        self.bridge = bridge
        self.port = port

    def pull(self) -> None:
        """Packets are lost from now on."""
        self._set("down")

    def plug(self) -> None:
        """Packets pass again."""
        self._set("up")

    def _set(self, state: str) -> None:
        def act() -> None:
            with IPRoute() as links:
                links.link("set", index=self.port, state=state)

        self.switch.within(act)


class Switch:
    """A bridge in a network of its own."""

    def __init__(self) -> None:
        self._network = Network()
        self._bridge = self._network.within(_make_bridge)

    def connect(self, name: str, network: Network, address: str) -> Cable:
        """Lay a cable to a host: its port has that name (at most 15 letters), its other end that
        IPv4 address."""

        def lay() -> int:
            with IPRoute() as links:
                there = {"ifname": INTERFACE, "net_ns_fd": network.fd}
                links.link("add", ifname=name, kind="veth", peer=there)
                (port,) = links.link_lookup(ifname=name)
                links.link("set", index=port, master=self._bridge, state="up")
                return int(port)

        port = self._network.within(lay)
        network.within(lambda: _set_up(address))
        return Cable(self._network, self._bridge, port)

    def close(self) -> None:
        """The bridge vanishes, and the cables with it."""
        self._network.close()


def _in_thread(act: Callable[[], T]) -> T:
    """Namespaces belong to a thread, so the caller's stay as they are."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(act).result()


def _leave_for_a_new_one() -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(netns.CLONE_NEWNET):
        error = ctypes.get_errno()
        raise OSError(error, f"cannot make a network namespace: {os.strerror(error)}")
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _make_bridge() -> int:
    with IPRoute() as links:
        links.link("add", ifname="bridge", kind="bridge")
        (bridge,) = links.link_lookup(ifname="bridge")
        links.link("set", index=bridge, state="up")
        return int(bridge)


def _set_up(address: str) -> None:
    with IPRoute() as links:
        for name in ("lo", INTERFACE):
            (index,) = links.link_lookup(ifname=name)
            links.link("set", index=index, state="up")
        links.addr("add", index=index, address=address, prefixlen=PREFIX_LENGTH)
