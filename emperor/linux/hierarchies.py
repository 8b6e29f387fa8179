"""Where the control groups of the vassals are made: in each hierarchy that this process may write.

Under systemd that is below the group of a unit of its own, emperord-apps.service, which systemd has
delegated (Delegate=yes). Below the group of emperord.service it would not do: systemd puts a new
daemon into that very group, which cgroup v2 refuses once controllers are enabled below it. A daemon
that was started by hand makes its groups below its own.
"""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from emperor.linux.cgroup import TRACKING, V2, groups_of, hierarchies_of, members, service_group

# The controllers that hold the limits of vassals, by their names in v2.
CONTROLLERS = frozenset({"cpu", "io", "memory", "pids"})
NAMES_IN_V1 = {"cpu": "cpu", "blkio": "io", "memory": "memory", "pids": "pids"}
_CONTROL = "cgroup.subtree_control"


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A hierarchy in which groups can be made: below the group `base`, with these controllers by
    their names in v2. `is_delegated`: systemd has made that group for us."""

    base: Path
    controllers: frozenset[str]
    is_v2: bool
    is_delegated: bool = False


@dataclass(frozen=True, slots=True)
class Hierarchies:
    """The hierarchies that are usable; groups are killed in the first one. `problem` is why some of
    what is wanted is missing, in words; empty: nothing is."""

    usable: tuple[Hierarchy, ...]
    problem: str = ""

    @property
    def missing(self) -> frozenset[str]:
        """The controllers that no hierarchy has."""
        return CONTROLLERS.difference(*(each.controllers for each in self.usable))


def find_hierarchies(environment: Mapping[str, str], run_dir: Path) -> Hierarchies:
    """The hierarchies for the daemon of `run_dir`, prepared for groups."""
    usable: list[Hierarchy] = []
    problems: list[str] = []
    try:
        places = list(_places(environment, run_dir))
    except OSError as error:
        return Hierarchies((), _told(error))
    for place in sorted(places, key=rank):
        if usable and not (place.is_v2 or place.controllers):
            continue  # systemd's own hierarchy of v1 tells nothing that another does not
        try:
            usable.append(prepare(place))
        except OSError as error:
            problems.append(_told(error))
    return Hierarchies(tuple(usable), problems[0] if problems else "")


def rank(place: Hierarchy) -> tuple[bool, bool, bool]:
    """A key that sorts hierarchies by how well a group can be killed there, best first: v2 kills it
    at once, and pids of v1 lets it fork no more meanwhile. systemd's own hierarchy of v1 is
    last."""
    return not place.is_v2, "pids" not in place.controllers, not place.controllers


def prepare(place: Hierarchy) -> Hierarchy:
    """Make its base group, and hand the controllers of v2 down to it. Returns it with those that
    it has. Raises OSError."""
    if not place.is_delegated:
        with suppress(FileExistsError):
            os.mkdir(place.base)
        # Another daemon's may be there where nothing can be written, as in a container.
        if not os.access(place.base, os.W_OK):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(place.base))
    if not place.is_v2:
        return place
    if not place.is_delegated:
        # This works in the root group only: any other group with processes hands nothing down.
        with suppress(OSError):
            _enable(place.base.parent)
    try:
        enabled = _enable(place.base)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        _move_all(place.base, place.base / "holder")
        enabled = _enable(place.base)
    return replace(place, controllers=enabled)


def hand_down(hierarchy: Hierarchy, group: str) -> None:
    """Hand the controllers of the hierarchy down to the groups below `group`. Raises OSError."""
    if hierarchy.is_v2 and hierarchy.controllers:
        _enable(hierarchy.base / group)


def put(path: Path | str, value: str) -> None:
    """Write a file of a group. Raises OSError, which a file object may hide until its end."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        os.close(fd)


def number_in(file: Path) -> int | None:
    """The only number of a file of a group; None for `max`, and where there is no file."""
    with suppress(OSError, ValueError):
        return int(file.read_text())
    return None


def value_in(file: Path, key: str) -> int:
    """The number beside a key, 0 where there is none."""
    with suppress(OSError):
        for line in file.read_text().splitlines():
            word, _, number = line.partition(" ")
            if word == key:
                return int(number)
    return 0


def _places(environment: Mapping[str, str], run_dir: Path) -> Iterator[Hierarchy]:
    groups = Path("/proc/self/cgroup").read_text()
    mounts = Path("/proc/self/mountinfo").read_text()
    yield from places(groups, mounts, run_dir, is_service=service_group(environment) is not None)


def places(groups: str, mounts: str, run_dir: Path, is_service: bool) -> Iterator[Hierarchy]:
    """Where groups would be made, from the texts of /proc/PID/cgroup and /proc/PID/mountinfo.
    `is_service`: systemd has started this process as a service."""
    mounted = list(hierarchies_of(mounts))
    own = dict(groups_of(groups))
    service = next((path for path in own.values() if path.suffix == ".service"), None)
    apps = service.with_name(f"{service.stem}-apps.service") if is_service and service else None
    for names, path in own.items():
        ours = frozenset(NAMES_IN_V1[name] for name in names & NAMES_IN_V1.keys())
        if not ours and names.isdisjoint(TRACKING):
            continue
        for mount in mounted:
            delegated = mount.folder_of(names, apps) if apps else None
            if delegated and delegated.is_dir():
                yield Hierarchy(delegated, ours, names == {V2}, is_delegated=True)
                break
            if (folder := mount.folder_of(names, path)) is not None:
                base = folder / f"emperord{quote(str(run_dir), safe='')}"
                yield Hierarchy(base, ours, names == {V2})
                break


def _enable(group: Path) -> frozenset[str]:
    """Hand the controllers that a group of v2 has down to the groups below it. Returns those that
    it hands down. Raises OSError."""
    offered = CONTROLLERS & set((group / "cgroup.controllers").read_text().split())
    enabled = set((group / _CONTROL).read_text().split())
    if offered - enabled:
        put(group / _CONTROL, " ".join(f"+{name}" for name in sorted(offered - enabled)))
    return offered


def _move_all(group: Path, leaf: Path) -> None:
    """Move the processes of a group into a group below it. Raises OSError."""
    with suppress(FileExistsError):
        os.mkdir(leaf)
    for pid in members(group):
        with suppress(ProcessLookupError):
            put(leaf / "cgroup.procs", str(pid))


def _told(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
