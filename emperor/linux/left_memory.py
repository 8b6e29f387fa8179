"""Removes the control groups of tenants, except those that count memory which dead processes have
left: System V shared memory, and files in /dev/shm and in other file systems that are in memory.

The kernel counts such memory where it was first written, and in the groups around, until somebody
deletes it. A tenant's next app in a new group would start to count from zero. What is cached of
disks does not matter: the kernel takes that back.
"""

import os
from asyncio import AbstractEventLoop
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from emperor.linux.hierarchies import Hierarchy, number_in, value_in

# The kernel sums up what its cores have counted every two seconds.
_SUMMED_UP_SECONDS = 3.0


class LeftMemory:
    """Remembers which groups of tenants stay for what they count."""

    def __init__(self, hierarchies: Sequence[Hierarchy], loop: AbstractEventLoop) -> None:
        self._hierarchies = hierarchies
        self._loop = loop
        self._held: set[str] = set()

    def remove_soon(self, tenant: str) -> None:
        """Remove the group of a tenant once the kernel has summed up what an app has left."""
        self._loop.call_later(_SUMMED_UP_SECONDS, self.remove, tenant)

    def remove(self, tenant: str) -> None:
        """Remove the group of a tenant where it is empty and counts no such memory."""
        self._held.discard(tenant)
        for hierarchy in self._hierarchies:
            if _is_held(hierarchy, tenant):
                self._held.add(tenant)
            else:
                _remove(hierarchy.base / tenant)

    def look(self) -> None:
        """Remove the groups whose memory was deleted since. Nobody tells of that."""
        for tenant in tuple(self._held):
            self.remove(tenant)


def remove_tenants(hierarchies: Sequence[Hierarchy]) -> None:
    """Remove the empty groups of all tenants, whatever they count: the daemon ends, and nobody
    would remove them later."""
    for hierarchy in hierarchies:
        for tenant in hierarchy.base.glob("uid-*/"):
            _remove(tenant)


def _remove(group: Path) -> None:
    with suppress(OSError):  # it has processes, or is gone
        os.rmdir(group)


def _is_held(hierarchy: Hierarchy, tenant: str) -> bool:
    if "memory" not in hierarchy.controllers:
        return False
    group = hierarchy.base / tenant
    if hierarchy.is_v2:
        swapped = number_in(group / "memory.swap.current") or 0
        return bool(value_in(group / "memory.stat", "shmem") or swapped)
    return any(value_in(group / "memory.stat", key) for key in ("total_shmem", "total_swap"))
