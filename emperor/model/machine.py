"""What a machine can hold."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Machine:
    """The memory of a machine with swap, how many processes and threads the kernel allows, and how
    many descriptors one process may have."""

    memory_bytes: int
    processes: int
    descriptors: int
