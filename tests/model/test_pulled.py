"""What a backend does about each thing that the registry may have, for each thing on its disk."""

from itertools import product

import msgspec
import pytest

from emperor.model.pulled import (
    Act,
    Found,
    Occasion,
    OnDisk,
    Pulled,
    PulledState,
    Said,
    act,
    on_disk,
    said,
    settled,
    why_not,
)
from emperor.model.registration import RegisteredAlias, RegisteredIni, RegisteredRemoval

_A = "a.example"
_KEPT = Pulled(_A, 5, 50, "digest", inode=7)
_REMOVED = Pulled(_A, 5, 50, "digest", inode=7, state=PulledState.REMOVED)
_FORGOTTEN = Pulled(_A, 5, 50, "digest", inode=7, state=PulledState.FORGOTTEN)

_CELLS = list(product(Occasion, OnDisk, Said))
# What takes the file away, or puts another one there.
_CHANGES = {Act.WRITE, Act.REMOVE, Act.SET_ASIDE, Act.REPLACE}

# Each cell once: rows by what is on the disk, columns in the order of Said. A stroke separates what
# differs at a hit.
_LETTERS = {
    "-": Act.NOTHING, "W": Act.WRITE, "R": Act.REMOVE, "A": Act.SET_ASIDE, "N": Act.NOTE,
    "C": Act.COMPLAIN, "P": Act.REPLACE,
}  # fmt: skip
_EXPECTED = {
    (Occasion.CHANGE, OnDisk.ABSENT): "- - - - - - - N",
    (Occasion.HIT, OnDisk.ABSENT): "- C C C W W - N",
    (Occasion.CHANGE, OnDisk.PULLED): "C C C C - W R R",
    (Occasion.HIT, OnDisk.PULLED): "C C C C - W R R",
    (Occasion.CHANGE, OnDisk.TORN): "C C C C W W R R",
    (Occasion.HIT, OnDisk.TORN): "C C C C W W R R",
    (Occasion.CHANGE, OnDisk.EDITED): "C C C C - C A A",
    (Occasion.HIT, OnDisk.EDITED): "C C C C - C A A",
    (Occasion.CHANGE, OnDisk.EDITED_BY_ANOTHER): "C C C C - P A A",
    (Occasion.HIT, OnDisk.EDITED_BY_ANOTHER): "C C C C - P A A",
    (Occasion.CHANGE, OnDisk.FOREIGN): "- - - - - - - -",
    (Occasion.HIT, OnDisk.FOREIGN): "- - - - - - - -",
}


@pytest.mark.parametrize(("occasion", "disk", "says"), _CELLS)
def test_each_cell_of_the_table(occasion: Occasion, disk: OnDisk, says: Said) -> None:
    letter = _EXPECTED[occasion, disk].split()[list(Said).index(says)]
    assert act(occasion, disk, says) is _LETTERS[letter]


@pytest.mark.parametrize(("occasion", "disk", "says"), _CELLS)
def test_nothing_old_or_unusable_changes_the_disk(
    occasion: Occasion, disk: OnDisk, says: Said
) -> None:
    done = act(occasion, disk, says)
    if says in {Said.MISSING, Said.UNUSABLE, Said.BEHIND, Said.RIVAL} or disk is OnDisk.FOREIGN:
        assert done not in _CHANGES


@pytest.mark.parametrize(("occasion", "disk", "says"), _CELLS)
def test_each_complaint_has_its_words(occasion: Occasion, disk: OnDisk, says: Said) -> None:
    # What cannot be used has the words of whoever has found that.
    if act(occasion, disk, says) is Act.COMPLAIN and says is not Said.UNUSABLE:
        assert "; " in why_not(disk, says, _KEPT)


@pytest.mark.parametrize(
    ("found", "kept", "expected"),
    [
        (None, None, OnDisk.ABSENT),
        (None, _KEPT, OnDisk.ABSENT),
        (Found(7, "digest", False), None, OnDisk.FOREIGN),
        (Found(7, "digest", False), _KEPT, OnDisk.PULLED),
        # Copied to another disk.
        (Found(8, "digest", False), _KEPT, OnDisk.PULLED),
        (Found(7, "other", False), _KEPT, OnDisk.EDITED),
        (Found(7, "other", False, owner=9), _KEPT, OnDisk.EDITED_BY_ANOTHER),
        (Found(7, "other", True), _KEPT, OnDisk.TORN),
        (Found(8, "other", False), _KEPT, OnDisk.FOREIGN),
        (Found(8, "other", True), _KEPT, OnDisk.FOREIGN),
        # An administrator has put back what the registry has removed.
        (Found(8, "digest", False), _REMOVED, OnDisk.FOREIGN),
        (Found(7, "digest", False), _REMOVED, OnDisk.PULLED),
        # The kernel gives an inode again that has become free.
        (Found(7, "other", False), _REMOVED, OnDisk.FOREIGN),
        (Found(7, "", True), _FORGOTTEN, OnDisk.FOREIGN),
        (Found(8, "digest", False), _FORGOTTEN, OnDisk.FOREIGN),
    ],
)
def test_what_a_file_is(found: Found | None, kept: Pulled | None, expected: OnDisk) -> None:
    assert on_disk(found, kept, owner=0) is expected


def _ini(serial: int) -> RegisteredIni:
    return RegisteredIni(_A, serial, "alice", "")


@pytest.mark.parametrize(
    ("entry", "kept", "digest", "expected"),
    [
        (_ini(1), None, "digest", Said.NEWER_INI),
        (_ini(6), _KEPT, "digest", Said.NEWER_INI),
        (_ini(5), _KEPT, "digest", Said.SAME_INI),
        (_ini(5), _FORGOTTEN, "digest", Said.SAME_INI),
        (_ini(5), _KEPT, "other", Said.RIVAL),
        (_ini(5), _REMOVED, "digest", Said.RIVAL),
        (_ini(4), _KEPT, "digest", Said.BEHIND),
        (_ini(4), _REMOVED, "digest", Said.BEHIND),
        (RegisteredRemoval(_A, 1), None, "", Said.NEWER_GONE),
        (RegisteredRemoval(_A, 6), _KEPT, "", Said.NEWER_GONE),
        (RegisteredRemoval(_A, 5), _KEPT, "", Said.RIVAL),
        (RegisteredRemoval(_A, 5), _REMOVED, "", Said.SAME_GONE),
        (RegisteredRemoval(_A, 4), _REMOVED, "", Said.BEHIND),
        (RegisteredAlias(_A, 6, "b.example"), _KEPT, "", Said.NEWER_GONE),
        (RegisteredAlias(_A, 5, "b.example"), _KEPT, "", Said.RIVAL),
    ],
)
def test_what_an_entry_is(
    entry: RegisteredIni | RegisteredAlias | RegisteredRemoval,
    kept: Pulled | None,
    digest: str,
    expected: Said,
) -> None:
    assert said(entry, kept, digest) is expected


_NEW = Pulled(_A, 6, 60, "new", inode=8, before=_KEPT)


@pytest.mark.parametrize(
    ("kept", "inode", "expected"),
    [
        (_KEPT, 7, _KEPT),
        (_KEPT, None, _FORGOTTEN),
        (_REMOVED, None, _REMOVED),
        (_NEW, 8, Pulled(_A, 6, 60, "new", inode=8)),
        # The daemon was killed before the new file got its name.
        (_NEW, 7, _KEPT),
        (_NEW, 9, Pulled(_A, 6, 60, "new", inode=8)),
    ],
)
def test_what_a_daemon_goes_on_with(kept: Pulled, inode: int | None, expected: Pulled) -> None:
    assert settled(kept, inode) == expected


def test_the_journals_of_earlier_versions_can_be_read() -> None:
    line = (
        b'{"type":"pulled","domain":"a.example","serial":5,"revision":50,"digest":"digest",'
        b'"inode":7,"standing":"removed"}'
    )
    assert msgspec.json.decode(line, type=Pulled) == _REMOVED
    assert msgspec.json.encode(_REMOVED) == line
