"""Tells whether memory is short: that of the machine, or what a control group around this process
may have, as the limit of a container or of a unit (MemoryMax=)."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from emperor.linux.cgroup import V2, groups_of, hierarchies_of

_SHORT = 1 / 20
_MEMORY = "memory"
# In v1 no limit is a large one.
_NO_LIMIT = 1 << 60


@dataclass(frozen=True, slots=True)
class _Files:
    """The files of a group that tell its limit and what it uses. memory.stat calls `of_files` that
    part of it which the kernel can take back, and `of_none` the part that is of no file."""

    limit: str
    used: str
    of_files: frozenset[str]
    of_none: str


_OF_V2 = _Files("memory.max", "memory.current", frozenset({"inactive_file", "active_file"}), "anon")
_OF_V1 = _Files(
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    frozenset({"total_inactive_file", "total_active_file"}),
    "total_rss",
)


class MemoryShortage:
    """Tells whether less than a twentieth of the memory is available: of the machine, or of a group
    that this process is in, or that is around one of the groups `of_apps`. Each start of an app may
    ask, so the groups are found once."""

    def __init__(self, of_apps: Iterable[Path] = ()) -> None:
        folders = (group for folder in (*_own_groups(), *of_apps) for group in _around(folder))
        self._groups = tuple(dict.fromkeys(folders))

    def __call__(self) -> bool:
        """Whether that is so now."""
        return is_machine_short() or any(_is_group_short(*each) for each in self._groups)


def memory_of(group: Path) -> int | None:
    """The memory of a group that is of no file; None where the kernel does not tell."""
    try:
        return _stat(group, frozenset({_files_of(group).of_none}))
    except OSError:
        return None


def is_machine_short() -> bool:
    """Whether less than a twentieth of the machine's memory is available, as proc(5) counts that in
    /proc/meminfo."""
    with open("/proc/meminfo", encoding="ascii") as file:
        lines = (line.split() for line in file)
        kilobytes = {words[0]: int(words[1]) for words in lines}
    return kilobytes["MemAvailable:"] < _SHORT * kilobytes["MemTotal:"]


def _own_groups() -> Iterator[Path]:
    """The groups of this process that may count memory."""
    groups = Path("/proc/self/cgroup").read_text()
    mounts = list(hierarchies_of(Path("/proc/self/mountinfo").read_text()))
    for names, path in groups_of(groups):
        if names & {V2, _MEMORY}:
            found = (mount.folder_of(names, path) for mount in mounts)
            yield from (folder for folder in found if folder is not None)


def _around(group: Path) -> Iterator[tuple[Path, _Files]]:
    """The group, and those that it is in, as far as they count memory and are seen here."""
    for each in (group, *group.parents):
        files = _files_of(each)
        if (each / files.limit).exists():
            yield each, files


def _files_of(group: Path) -> _Files:
    return _OF_V1 if (group / _OF_V1.limit).exists() else _OF_V2


def _is_group_short(group: Path, files: _Files) -> bool:
    # Most groups of v2 have no limit ("max"), and a group may be gone.
    with suppress(OSError, ValueError):
        limit = int((group / files.limit).read_text())
        if limit < _NO_LIMIT:
            lacking = _SHORT * limit - (limit - int((group / files.used).read_text()))
            # The kernel sums up what memory.stat says.
            return lacking > 0 and lacking > _stat(group, files.of_files)
    return False


def _stat(group: Path, names: frozenset[str]) -> int:
    """The sum of these numbers of memory.stat. Raises OSError."""
    with open(group / "memory.stat", encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file if line.split()[0] in names)
