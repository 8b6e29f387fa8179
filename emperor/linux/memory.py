"""Tells whether the memory of the machine is short."""

_SHORT = 1 / 20


def is_memory_short() -> bool:
    """Whether less than a twentieth of it is available, as proc(5) counts that in
    /proc/meminfo."""
    with open("/proc/meminfo", encoding="ascii") as file:
        lines = (line.split() for line in file)
        kilobytes = {words[0]: int(words[1]) for words in lines}
    return kilobytes["MemAvailable:"] < _SHORT * kilobytes["MemTotal:"]
