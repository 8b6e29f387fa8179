"""How a value reads, on a terminal and in the console. Pure, and the one gate for text that apps
and inis wrote."""

import re
from datetime import datetime

NOTHING = "-"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def plain(text: str, keep: str = "") -> str:
    """`text` with each character that could steer a terminal or reorder a line written as an
    escape: C0, C1, bidirectional marks, line separators, lone surrogates. `keep` is left alone."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode()
        for char in text
    )


def one_line(text: str) -> str:
    """`plain`, with any run of white space as one blank."""
    return plain(" ".join(text.split()))


def by_numbers(address: str) -> list[str | int]:
    """Has 192.0.2.9 come before 192.0.2.10. Words and numbers take turns in it."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", address)]


def naming(name: str, message: str) -> str:
    """`message`, after `name` where it does not name that itself."""
    return message if name in message else f"{name}: {message}"


def middle(text: str, width: int) -> str:
    """`text`, with its middle left out where it is longer than `width`: of a host name both ends
    tell most."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return text[: width - 1 - tail] + "…" + text[len(text) - tail :]


def duration(seconds: float) -> str:
    """At most five characters, with a second unit where one alone would be coarse, and else to the
    nearest: 42s, 9m05s, 59m, 3h20m, 26h, 400d. What a wrong clock makes negative counts as 0."""
    whole = max(0, int(seconds))
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    if whole < 10 * _MINUTE:
        return f"{whole // _MINUTE}m{whole % _MINUTE:02}s"
    if whole < 2 * _HOUR:
        return f"{round(whole / _MINUTE)}m"
    if whole < 10 * _HOUR:
        return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02}m"
    if whole < 3 * _DAY:
        return f"{round(whole / _HOUR)}h"
    return f"{round(whole / _DAY)}d"


def since(moment: datetime | None, now: datetime) -> str:
    """How long ago `moment` was."""
    return NOTHING if moment is None else duration((now - moment).total_seconds())


def until(moment: datetime | None, now: datetime) -> str:
    """How long it is until `moment`."""
    return NOTHING if moment is None else duration((moment - now).total_seconds())


def milliseconds(number: float) -> str:
    """A number of them as text."""
    return f"{number:.1f} ms" if number < 10 else f"{number:.0f} ms"


def took(spent: float) -> str:
    """How long something took, given in milliseconds; from a second on, in seconds."""
    return milliseconds(spent) if spent < 1000 else f"{spent / 1000:.1f} s"


def memory(size: int | None) -> str:
    """At most four characters: 512K, 37M, 1.2G."""
    if size is None:
        return NOTHING
    value = size / 1024
    for unit in "KMG":
        if value < 9.95 and unit != "K":
            return f"{value:.1f}{unit}"
        if value < 999.5:
            return f"{value:.0f}{unit}"
        value /= 1024
    return f"{value:.0f}T"


def cpu(seconds: float | None) -> str:
    """CPU time, at most five characters."""
    if seconds is None:
        return NOTHING
    return f"{seconds:.1f}s" if seconds < 9.95 else duration(seconds)


def clock(moment: datetime) -> str:
    """A moment in the local time zone, to the second."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
