"""Every field of a vassal's record outlives a crash of the daemon."""

from dataclasses import fields
from typing import Any

import msgspec
import pytest

from emperor.model.cause import Boot, Cause, CauseKind, StartMethod, Stop
from emperor.model.lifecycle import Event, State
from emperor.model.posture import Role
from emperor.model.slow_imports import SlowImport
from emperor.model.snapshot import (
    FailedVersion,
    ListenerRef,
    PendingEvent,
    ProcessRecord,
    ProcessRef,
    VassalRecord,
    Version,
    decoder,
    encode,
)
from emperor.model.spec import Stamp
from emperor.supervisor.records import Child, Vassal
from tests.supervisor.fake_launcher import RUNTIMES
from tests.supervisor.world import SPEC, World

CAUSE = Cause("hit", 1.0, "203.0.113.9", "7f3c0a", person=True, kind=CauseKind.HIT)
BOOT = Boot(CAUSE, 2.0, 3.0, 4.0, 5.0)
MARK = ProcessRef("fake", 4711, 12, "/logs/a", 13, (1, 2), "/copy")
CHILD = ProcessRecord(7, SPEC, MARK, BOOT, Role.SERVING, 8.0, "too slow", 3, Stamp(1, 2, 3, 4, 5))
VERSION = Version(SPEC, Stamp(1, 2, 3, 4, 5), b"[uwsgi]")
# Here no field has its default value, so that a field which is not saved is noticed.
FULL = VassalRecord(
    spec=SPEC,
    since=1.0,
    stamp=Stamp(1, 2, 3, 4, 5),
    listener_ref=ListenerRef(1, 2, 3),
    state=State.RELOADING,
    lead=CHILD,
    second=CHILD,
    pending_event=PendingEvent(Event.REVISED, CAUSE),
    queued_for=CAUSE,
    retry_at=6.0,
    starts=7,
    consecutive_failures=8,
    last_error="exit status 22",
    last_error_is_limit=True,
    ini_error="a.example.ini: line 3",
    last_hit=9.0,
    last_boot=BOOT,
    last_stop=Stop(10.0, "idle"),
    bind_failed_at=11.0,
    text=b"[uwsgi]",
    is_put_to_sleep=True,
    early_ends=2,
    has_accepted=True,
    good=VERSION,
    failed=FailedVersion(VERSION, "exit status 1"),
    boots=(1.5, 2.5),
    in_maintenance=True,
    slow_imports=(SlowImport("shop.reports", 1900.0, 95, 1, "shop"),),
)


def test_the_example_sets_every_field() -> None:
    for record in (FULL, CHILD):
        for each in fields(record):
            if each.name != "format":
                assert getattr(record, each.name) != each.default, each.name


def test_every_field_is_kept() -> None:
    kept = decoder(RUNTIMES)(encode(FULL))
    assert msgspec.to_builtins(kept) == msgspec.to_builtins(FULL)


@pytest.mark.parametrize(
    ("record", "handles"),
    [
        (Vassal, {"has_fault", "listener", "orders", "throttle"}),
        (Child, {"process", "timer"}),
    ],
)
def test_all_other_fields_of_a_record_are_handles(record: type[Any], handles: set[str]) -> None:
    assert set(record.__slots__) == handles, "everything else belongs in the saved record"


def test_a_live_vassal_has_every_saved_field() -> None:
    world = World()
    listener = world.listeners.listen(SPEC)
    live = Vassal(FULL, listener)
    for each in fields(VassalRecord):
        if each.name not in ("lead", "second", "listener_ref"):
            assert getattr(live, each.name) is getattr(FULL, each.name)


@pytest.mark.parametrize(
    ("way", "method"),
    [
        ("forked from a base of /srv/venv", StartMethod.FORK),
        ("by exec: bases = off", StartMethod.EXEC),
        ("", None),
    ],
)
def test_earlier_versions_kept_how_an_app_started_in_words(
    way: str, method: StartMethod | None
) -> None:
    plain = msgspec.msgpack.decode(encode(FULL))
    plain["lead"]["ref"]["way"] = way
    del plain["lead"]["ref"]["method"]
    kept = decoder(RUNTIMES)(msgspec.msgpack.encode(plain))
    assert kept.lead
    assert (kept.lead.ref.way, kept.lead.ref.method) == (way, method)


@pytest.mark.parametrize(
    ("by", "nobody_waits", "kind"),
    [
        ("hit", False, CauseKind.HIT),
        ("connection", False, CauseKind.CONNECTION),
        ("emperorctl start by uid 0", False, CauseKind.ORDER),
        ("console restart by uid 0", False, CauseKind.ORDER),
        ("its ini changed", False, CauseKind.CHANGE),
        ("it runs always", True, CauseKind.ALWAYS),
        ("its socket was taken away", False, CauseKind.OTHER),
    ],
)
def test_earlier_versions_kept_a_cause_in_words(
    by: str, nobody_waits: bool, kind: CauseKind
) -> None:
    plain = msgspec.msgpack.decode(encode(FULL))
    causes = [
        plain["lead"]["boot"]["cause"], plain["second"]["boot"]["cause"],
        plain["last_boot"]["cause"], plain["queued_for"], plain["pending_event"]["cause"],
    ]  # fmt: skip
    for each in causes:
        each |= {"by": by, "nobody_waits": nobody_waits}
        del each["kind"]
    kept = decoder(RUNTIMES)(msgspec.msgpack.encode(plain))
    assert kept.lead and kept.second and kept.last_boot and kept.queued_for and kept.pending_event
    found = [
        kept.lead.boot.cause, kept.second.boot.cause, kept.last_boot.cause, kept.queued_for,
        kept.pending_event.cause,
    ]  # fmt: skip
    assert [each.kind for each in found] == [kind] * 5


@pytest.mark.parametrize(
    ("error", "is_limit"),
    [
        ("cannot get more memory: memory-max = 100M is reached, and the kernel killed", True),
        ("cannot start a process: pids-max = 40 is reached, and a fork was refused", True),
        ("exit status 22", False),
        (None, False),
    ],
)
def test_earlier_versions_kept_in_words_what_a_limit_did(error: str | None, is_limit: bool) -> None:
    plain = msgspec.msgpack.decode(encode(FULL))
    plain["last_error"] = error
    del plain["last_error_is_limit"]
    assert decoder(RUNTIMES)(msgspec.msgpack.encode(plain)).last_error_is_limit is is_limit
