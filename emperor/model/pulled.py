"""Decides what a backend does when it learns what the registry has for a domain.

What may be done depends on what is on the disk: a file that was pulled from the registry follows
it, and a file that was not is an administrator's, which the registry never touches. Serials only
rise, and the absence of an entry removes nothing (model/registration).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import msgspec

from emperor.model.registration import Entry, RegisteredIni


class PulledState(Enum):
    """What became of an ini that was pulled."""

    HELD = "held"
    """it is on the disk"""
    FORGOTTEN = "forgotten"
    """it is not: nobody used it, or an administrator has removed the file"""
    REMOVED = "removed"
    """the registry has removed it"""


class Pulled(msgspec.Struct, frozen=True, omit_defaults=True, tag="pulled"):
    """What is kept of a domain: the newest serial that was followed here, and the revision of the
    registry at which it was written. `digest` and `inode` are those of the last file that was
    written, `at` is when, in seconds of the epoch. `before` is what was kept until that file took
    the place of the one before it. `alias_of`: it has no ini, and another domain answers for it."""

    domain: str
    serial: int
    revision: int
    digest: str = ""
    inode: int = 0
    at: float = 0.0
    # The journals of earlier versions have this name.
    state: PulledState = msgspec.field(default=PulledState.HELD, name="standing")
    before: "Pulled | None" = None
    alias_of: str = ""

    @property
    def is_held(self) -> bool:
        """Whether the file is on the disk, as far as is known."""
        return self.state is PulledState.HELD

    @property
    def is_used(self) -> bool:
        """Whether changes of it concern this backend."""
        return self.is_held or self.alias_of != ""


@dataclass(frozen=True, slots=True)
class Found:
    """The file DOMAIN.ini, and the uid of its owner. `is_damaged`: it is empty or holds a NUL, as
    after a loss of power."""

    inode: int
    digest: str
    is_damaged: bool
    owner: int = 0


class OnDisk(Enum):
    """What is in the folder of inis for a domain."""

    ABSENT = "no ini"
    PULLED = "an ini as it was pulled"
    TORN = "an ini that was pulled, and that a loss of power has damaged"
    EDITED = "an ini that was pulled and then changed in place on this machine"
    EDITED_BY_ANOTHER = "the same, of another owner than the registry has for it"
    FOREIGN = "an ini that is not from the registry"


class Said(Enum):
    """What the registry has for a domain, beside what was followed so far."""

    MISSING = "no entry"
    UNUSABLE = "an entry that is broken, or that this backend refuses"
    BEHIND = "an entry of a lower serial"
    RIVAL = "another entry of the same serial"
    SAME_INI = "the ini that was pulled"
    NEWER_INI = "a newer ini"
    SAME_GONE = "the removal that was followed"
    NEWER_GONE = "a newer removal, or an alias in the place of an ini"


class Occasion(Enum):
    """Why the backend asks: somebody wants the domain, or the registry tells of a change."""

    HIT = "hit"
    CHANGE = "change"


class Act(Enum):
    """What to do."""

    NOTHING = "nothing"
    WRITE = "write the ini"
    REMOVE = "take the ini off the disk"
    SET_ASIDE = "take the ini off the disk, and keep its text beside"
    REPLACE = "write the ini, and keep the text of the one before beside"
    NOTE = "remember the serial"
    COMPLAIN = "change nothing, and tell it"


def _table(*rows: tuple[OnDisk, Said, Act]) -> dict[tuple[OnDisk, Said], Act]:
    return {(disk, said): act for disk, said, act in rows}


# The same on each occasion, but for what is in _AT_HIT.
_ACTS: Mapping[tuple[OnDisk, Said], Act] = _table(
    (OnDisk.ABSENT, Said.MISSING, Act.NOTHING),
    (OnDisk.ABSENT, Said.UNUSABLE, Act.NOTHING),
    (OnDisk.ABSENT, Said.BEHIND, Act.NOTHING),
    (OnDisk.ABSENT, Said.RIVAL, Act.NOTHING),
    (OnDisk.ABSENT, Said.SAME_INI, Act.NOTHING),
    (OnDisk.ABSENT, Said.NEWER_INI, Act.NOTHING),
    (OnDisk.ABSENT, Said.SAME_GONE, Act.NOTHING),
    (OnDisk.ABSENT, Said.NEWER_GONE, Act.NOTE),
    (OnDisk.PULLED, Said.MISSING, Act.COMPLAIN),
    (OnDisk.PULLED, Said.UNUSABLE, Act.COMPLAIN),
    (OnDisk.PULLED, Said.BEHIND, Act.COMPLAIN),
    (OnDisk.PULLED, Said.RIVAL, Act.COMPLAIN),
    (OnDisk.PULLED, Said.SAME_INI, Act.NOTHING),
    (OnDisk.PULLED, Said.NEWER_INI, Act.WRITE),
    # The daemon or the machine was killed before the file was gone.
    (OnDisk.PULLED, Said.SAME_GONE, Act.REMOVE),
    (OnDisk.PULLED, Said.NEWER_GONE, Act.REMOVE),
    (OnDisk.TORN, Said.MISSING, Act.COMPLAIN),
    (OnDisk.TORN, Said.UNUSABLE, Act.COMPLAIN),
    (OnDisk.TORN, Said.BEHIND, Act.COMPLAIN),
    (OnDisk.TORN, Said.RIVAL, Act.COMPLAIN),
    (OnDisk.TORN, Said.SAME_INI, Act.WRITE),
    (OnDisk.TORN, Said.NEWER_INI, Act.WRITE),
    (OnDisk.TORN, Said.SAME_GONE, Act.REMOVE),
    (OnDisk.TORN, Said.NEWER_GONE, Act.REMOVE),
    # An administrator may have written this, or the tenant who owns the file. A change made here
    # is not lost; but no tenant keeps a site that was removed by changing its ini.
    (OnDisk.EDITED, Said.MISSING, Act.COMPLAIN),
    (OnDisk.EDITED, Said.UNUSABLE, Act.COMPLAIN),
    (OnDisk.EDITED, Said.BEHIND, Act.COMPLAIN),
    (OnDisk.EDITED, Said.RIVAL, Act.COMPLAIN),
    (OnDisk.EDITED, Said.SAME_INI, Act.NOTHING),
    (OnDisk.EDITED, Said.NEWER_INI, Act.COMPLAIN),
    (OnDisk.EDITED, Said.SAME_GONE, Act.SET_ASIDE),
    (OnDisk.EDITED, Said.NEWER_GONE, Act.SET_ASIDE),
    # Nor one that was given to another owner.
    (OnDisk.EDITED_BY_ANOTHER, Said.MISSING, Act.COMPLAIN),
    (OnDisk.EDITED_BY_ANOTHER, Said.UNUSABLE, Act.COMPLAIN),
    (OnDisk.EDITED_BY_ANOTHER, Said.BEHIND, Act.COMPLAIN),
    (OnDisk.EDITED_BY_ANOTHER, Said.RIVAL, Act.COMPLAIN),
    (OnDisk.EDITED_BY_ANOTHER, Said.SAME_INI, Act.NOTHING),
    (OnDisk.EDITED_BY_ANOTHER, Said.NEWER_INI, Act.REPLACE),
    (OnDisk.EDITED_BY_ANOTHER, Said.SAME_GONE, Act.SET_ASIDE),
    (OnDisk.EDITED_BY_ANOTHER, Said.NEWER_GONE, Act.SET_ASIDE),
    *((OnDisk.FOREIGN, said, Act.NOTHING) for said in Said),
)
_AT_HIT: Mapping[tuple[OnDisk, Said], Act] = _table(
    (OnDisk.ABSENT, Said.UNUSABLE, Act.COMPLAIN),
    (OnDisk.ABSENT, Said.BEHIND, Act.COMPLAIN),
    (OnDisk.ABSENT, Said.RIVAL, Act.COMPLAIN),
    # It was forgotten because nobody used it, or an administrator took the file off.
    (OnDisk.ABSENT, Said.SAME_INI, Act.WRITE),
    (OnDisk.ABSENT, Said.NEWER_INI, Act.WRITE),
)


def act(occasion: Occasion, disk: OnDisk, said: Said) -> Act:
    """What to do about an entry of the registry."""
    at_hit = _AT_HIT.get((disk, said)) if occasion is Occasion.HIT else None
    return at_hit or _ACTS[disk, said]


def on_disk(found: Found | None, kept: Pulled | None, owner: int | None = None) -> OnDisk:
    """What a file is, beside what is kept of the domain. `owner` is the uid that the registry has
    for it; None: it has none."""
    if found is None:
        return OnDisk.ABSENT
    if kept is None:
        return OnDisk.FOREIGN
    if not kept.is_held:
        # The file that an administrator makes next may get the inode of the one that has gone.
        is_back = (found.inode, found.digest) == (kept.inode, kept.digest)
        return OnDisk.PULLED if is_back else OnDisk.FOREIGN
    # A folder that was copied to another disk has other inodes.
    if found.digest == kept.digest:
        return OnDisk.PULLED
    if found.inode != kept.inode:
        return OnDisk.FOREIGN
    return _changed(found, owner)


def _changed(found: Found, owner: int | None) -> OnDisk:
    """What a file is that was pulled and has another content by now."""
    if found.is_damaged:
        return OnDisk.TORN
    return OnDisk.EDITED if owner in (None, found.owner) else OnDisk.EDITED_BY_ANOTHER


def said(entry: Entry, kept: Pulled | None, digest: str) -> Said:
    """What an entry that can be used is, beside what is kept of the domain. `digest` is that of the
    file which it would make, empty for an entry that is no ini."""
    is_ini = isinstance(entry, RegisteredIni)
    if kept is None or entry.serial > kept.serial:
        return Said.NEWER_INI if is_ini else Said.NEWER_GONE
    if entry.serial < kept.serial:
        return Said.BEHIND
    if is_ini == (kept.state is PulledState.REMOVED):
        return Said.RIVAL
    if not is_ini:
        return Said.SAME_GONE
    return Said.SAME_INI if kept.digest == digest else Said.RIVAL


def settled(kept: Pulled, inode: int | None) -> Pulled:
    """What to keep of a domain whose file has that inode when the daemon starts; None: there is no
    file. A daemon that was killed may have written down a file that never took its place: then the
    serial of the one that is there counts."""
    before = kept.before
    if inode is None:
        state = PulledState.REMOVED if kept.state is PulledState.REMOVED else PulledState.FORGOTTEN
        return msgspec.structs.replace(kept, state=state, before=None)
    if before is not None and inode != kept.inode and inode == before.inode:
        return msgspec.structs.replace(before, before=None)
    return msgspec.structs.replace(kept, before=None)


def why_not(disk: OnDisk, said: Said, kept: Pulled | None) -> str:
    """Why the registry is not followed, as a sentence with the cure."""
    followed = kept.serial if kept else 0
    # Without a serial the registry would count on from what it has, which may be less.
    newer = f"--serial {followed + 1}"
    if said is Said.MISSING:
        return (
            "the registry has no entry for it, and what is here is served on; put it again with"
            f" {newer}, or remove it by `emperorctl registry rm {newer}`"
        )
    if said is Said.BEHIND:
        return (
            f"the registry has a lower serial than {followed}, which was followed here; was it"
            f" restored from a backup? put the entry again with {newer}"
        )
    if said is Said.RIVAL:
        return (
            f"the registry has another entry of serial {followed} than was followed here; was it"
            f" restored from a backup? put the entry again with {newer}"
        )
    if disk is OnDisk.EDITED:
        return (
            "the registry has a newer ini, and the file was changed on this machine; remove the"
            " file for the newer ini, or replace it by your own (mv) to keep it"
        )
    return ""
