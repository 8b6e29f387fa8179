"""Which version of its ini is in effect for a vassal, and which other one is kept beside it.

A version that has accepted is *good*. It is kept when a newer one comes, until that has accepted
too. Where the newer one fails before, the good one is in effect again and the newer one is kept,
with the cause. When that happens is decided in model/fallback.py.
"""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from emperor.model.fallback import FAILED_BOOTS, Turn, Versions, tries_newest
from emperor.model.lifecycle import Event, State
from emperor.model.ports import CannotListen
from emperor.model.snapshot import FailedVersion, Version
from emperor.model.spec import Spec, Stamp
from emperor.supervisor.records import Vassal


def present(vassal: Vassal) -> Versions:
    """What there is beside the version in effect."""
    if vassal.failed is not None:
        return Versions.FELL_BACK
    return Versions.MAY_FALL_BACK if _may_fall_back(vassal) else Versions.ONE


def has_failed(vassal: Vassal, new: Version) -> bool:
    """Whether `new` is the version that has failed, read anew for instance with other settings. It
    is not tried again for that."""
    is_there = vassal.state is not State.REMOVED and new.stamp is not None
    return is_there and vassal.failed is not None and vassal.failed.version.stamp == new.stamp


def spec_after(vassal: Vassal, new: Version) -> Spec:
    """The spec that is in effect once `new` has been taken."""
    # The processes know nothing of further names, so these follow the ini.
    is_kept = has_failed(vassal, new)
    return _with_names_of(new.spec, vassal.spec) if is_kept else new.spec


def take(vassal: Vassal, new: Version) -> None:
    """Put the version that was read just now into effect, unless it has failed."""
    if vassal.failed and has_failed(vassal, new):
        vassal.spec = spec_after(vassal, new)
        vassal.failed = replace(vassal.failed, version=new)
        return
    old = _in_effect(vassal)
    is_same = new.stamp == old.stamp or (new.spec, new.text) == (old.spec, old.text)
    if not is_same:
        # Other settings for the same version are those of the administrator: they are kept.
        vassal.good = old if vassal.has_accepted else vassal.good
        vassal.has_accepted = False
    vassal.failed = None
    _put_into_effect(vassal, new)


def follow(vassal: Vassal, turn: Turn, why: str) -> None:
    """Change the version in effect as it was decided after an event of the cause `why`, once the
    processes have their new slots."""
    if turn is Turn.PROVEN and vassal.lead and vassal.lead.stamp == vassal.stamp:
        vassal.has_accepted, vassal.good = True, None
    elif turn is Turn.FALL_BACK and vassal.good:
        # Of a failed successor the cause says already that the old process serves on.
        told = why if vassal.lead else f"the new version did not start: {why}"
        newest, good = _in_effect(vassal), vassal.good
        vassal.good, vassal.failed = None, FailedVersion(newest, told)
        vassal.has_accepted = True
        spec = _with_names_of(newest.spec, good.spec)
        _put_into_effect(vassal, replace(good, spec=spec))
        _apply_to_listener(vassal)
    elif turn is Turn.GIVE_UP and vassal.failed:
        _put_into_effect(vassal, vassal.failed.version)
        vassal.failed, vassal.has_accepted = None, False
        _apply_to_listener(vassal)


def try_newest_at(vassal: Vassal, event: Event) -> None:
    """Put the version that has failed into effect once more where an order of the operator asks
    for it."""
    if vassal.failed is not None and tries_newest(vassal.state, event):
        vassal.good = _in_effect(vassal)
        _put_into_effect(vassal, vassal.failed.version)
        vassal.failed, vassal.has_accepted = None, False
        _apply_to_listener(vassal)


def newest(vassal: Vassal) -> tuple[Spec, Stamp | None]:
    """The spec and the stamp of the version that was read last, in effect or not."""
    version = vassal.failed.version if vassal.failed else _in_effect(vassal)
    return version.spec, version.stamp


def last_good(vassal: Vassal) -> Version | None:
    """The last version by which the app has accepted, or that stayed in service because a newer one
    was refused; None where none is known."""
    is_good = vassal.has_accepted or vassal.failed is not None or vassal.ini_error is not None
    version = vassal.good or (_in_effect(vassal) if is_good else None)
    return version if version and version.text else None


def why_fallen_back(vassal: Vassal) -> str | None:
    """Why an older version is in effect, for the administrator; None where it is the newest."""
    if vassal.failed is None:
        return None
    return (
        f"{vassal.failed.why}; it was written at {_written(vassal.failed.version.stamp)}, and the"
        f" version of {_written(vassal.stamp)} is in effect"
    )


def explained(vassal: Vassal, event: Event, why: str) -> str:
    """Why a boot has failed, and why the last good version is not used, if there is one."""
    is_failure = (vassal.state, event) in FAILED_BOOTS
    good = vassal.good
    if not is_failure or good is None or (good.spec, good.text) == (vassal.spec, vassal.text):
        return why
    reason = _why_unusable(good, vassal)
    return f"{why}; the last good version is not used: {reason}" if reason else why


def _may_fall_back(vassal: Vassal) -> bool:
    """Whether the good version may replace the one in effect."""
    good = vassal.good
    return (
        good is not None
        and (good.spec, good.text) != (vassal.spec, vassal.text)
        and _why_unusable(good, vassal) is None
    )


def _why_unusable(good: Version, vassal: Vassal) -> str | None:
    """Why the good version may not replace the one in effect. A socket that the newer one has given
    up may be another ini's by now. A user whose ini it is no longer gets no process from it."""
    if not good.text or good.stamp is None or vassal.stamp is None:
        return "its text was not kept"
    owners = [(stamp.uid, stamp.gid) for stamp in (good.stamp, vassal.stamp)]
    if owners[0] != owners[1]:
        return "the ini had another owner"
    if good.spec.runs_as != vassal.spec.runs_as:
        return "it ran as another user"
    given_up = set(good.spec.foreign_sockets) - set(vassal.spec.foreign_sockets)
    if good.spec.socket != vassal.spec.socket:
        given_up.add(good.spec.socket)
    if given_up:
        return f"it has the socket {min(given_up)}, which the new one has given up"
    return None


def _with_names_of(names: Spec, spec: Spec) -> Spec:
    return replace(spec, aliases=names.aliases, taken_aliases=names.taken_aliases)


def _in_effect(vassal: Vassal) -> Version:
    return Version(vassal.spec, vassal.stamp, vassal.text)


def _put_into_effect(vassal: Vassal, version: Version) -> None:
    vassal.spec, vassal.stamp, vassal.text = version.spec, version.stamp, version.text


def _apply_to_listener(vassal: Vassal) -> None:
    # A listener that could not be bound follows the spec as soon as it is bound again.
    with suppress(CannotListen):
        vassal.listener.apply(vassal.spec)


def _written(stamp: Stamp | None) -> str:
    """When a version was written, as the clock on the wall says."""
    assert stamp is not None, "a version without a stamp is not kept"
    return datetime.fromtimestamp(stamp.mtime_ns / 1e9).astimezone().strftime("%Y-%m-%d %H:%M:%S")
