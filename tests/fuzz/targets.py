"""What reads bytes of strangers, each as a function that raises where the daemon would fail."""

import asyncio
import os
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import msgspec

from emperor.linux.good_inis import GoodInisFile
from emperor.model import (
    absences,
    balancer_list,
    balancer_state,
    daemon_record,
    member,
    once,
    registration,
    slot_table,
)
from emperor.model.balancer_state import BalancerState, BrokenState
from emperor.model.definition import BrokenIni
from emperor.model.domain import canonical_host, is_domain
from emperor.model.good_ini import GoodIni
from emperor.model.member import BrokenMember, Capacity, Member
from emperor.model.once import Holder
from emperor.model.ports import Message
from emperor.model.registration import BrokenEntry
from emperor.model.slot_table import BrokenTable, SlotTable
from emperor.model.snapshot import Stale, VassalRecord, decoder, encode
from emperor.model.spec import Stamp
from emperor.uwsgi.ini import aliases_in, parse
from emperor.uwsgi.lint import refuse_unservable
from emperor.uwsgi.magic import frozen
from emperor.uwsgi.options import UwsgiOptions
from emperor.uwsgi.pipe import Pipe
from emperor.uwsgi.spec import spec_of
from emperor.web.control import ORDERS
from emperor.web.endpoints import ENDPOINTS
from tests.fuzz.exchange import ask_activate, ask_control
from tests.uwsgi.house import ALICE, AS_ROOT, DOMAIN, ROOT, SETTINGS, of_owner, spec

_FOLDER, _NAME = "/etc/uwsgi/vassals", f"{DOMAIN}.ini"
_SOMAXCONN = 4096
_DECODE = decoder({"uwsgi": UwsgiOptions})
_TALK = b"[uwsgi]\nsocket = /var/sockets/%n/socket\nfile = /srv/%d/a.py\nidle = 93600\n"
_RICH = b"[uwsgi]\nprocesses = %k\ninclude = a.ini\nset = a=$(B)@(c)\n[emperor]\nidle = 2h\n"
_LONG = b"[uwsgi]\nfile = /a.py\nhttp-socket = :%b\nuid = %b\ngid = 1\n" % (
    b"9" * 2000,
    b"9" * 4500,
)
_STAMP = Stamp(1, 2, 3, 4, 5)


def read_an_ini(data: bytes) -> None:
    """An ini of root's and one of a tenant's, and the copy of it."""
    aliases_in(data, _NAME, _FOLDER)
    try:
        ini = parse(data, _NAME, _FOLDER)
    except BrokenIni:
        return
    for owner in (ROOT, ALICE):
        with suppress(BrokenIni):
            made = spec_of(of_owner(owner), ini, SETTINGS, AS_ROOT)
            refuse_unservable(ini, made, SETTINGS, _SOMAXCONN)
    with suppress(BrokenIni):  # a copy can be longer than an ini
        copied = parse(frozen(data, f"{_FOLDER}/{_NAME}"), _NAME, _FOLDER)
        assert (copied.options, copied.emperor) == (ini.options, ini.emperor)


def read_kept_state(data: bytes) -> None:
    """The records in the bag, and the file of good inis."""
    with suppress(Stale):
        _DECODE(data)
    with suppress(Stale):
        daemon_record.decode(data)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        Path(folder, "good-inis").write_bytes(data)
        GoodInisFile(Path(folder)).read()


@dataclass
class _Loop:
    """A loop that calls the reader of the pipe when the target says so."""

    now: float = 0.0
    read: Callable[[], None] | None = None

    def add_reader(self, _: object, read: Callable[[], None]) -> None:
        self.read = read

    def remove_reader(self, _: object) -> None:
        self.read = None

    def time(self) -> float:
        return self.now

    def call_later(self, wait: float, call: Callable[..., None], *arguments: Any) -> "_Loop":
        self.now += wait
        call(*arguments)
        return self

    def cancel(self) -> None:
        """The timer has run."""


def read_a_pipe(data: bytes) -> None:
    """What an app writes to its pipe, in pieces."""
    heard: list[Message] = []
    loop = _Loop()
    pipe = Pipe.new(cast(asyncio.AbstractEventLoop, loop), heard.append)
    try:
        while data and loop.read is not None:
            length = 1 + data[0] % 100
            os.write(pipe.far_fd, data[:length])
            data = data[length:]
            loop.read()
        pipe.close_far()
        if loop.read is not None:
            loop.read()
    finally:
        pipe.close()
    assert all(isinstance(message, Message) for message in heard)


def read_a_host(data: bytes) -> None:
    """The Host of a request, which may become the name of a folder."""
    host = data.decode(errors="surrogateescape")
    with suppress(ValueError):
        name = canonical_host(host)
        if is_domain(name):
            assert os.path.normpath(f"/var/sockets/{name}/socket").count("/") == 4
            assert canonical_host(name) == name


def read_a_registry(data: bytes) -> None:
    """What anybody with a right to write has put into the registry of a fleet, and the list that a
    balancer's agent finds."""
    with suppress(BrokenEntry):
        registration.encoded(registration.decoded(DOMAIN, data))
    with suppress(BrokenMember):
        member.encoded(member.decoded("192.0.2.11", data))
    with suppress(BrokenState):
        balancer_state.encoded(balancer_state.decoded("lb1", data))
    absences.encoded(absences.decoded(data))
    once.claim(data, [Holder("192.0.2.11", "m")])
    for read in (slot_table.decoded, _list_of):
        with suppress(BrokenTable):
            table = read(data)
            slot_table.objection(table, _TABLE)
            assert slot_table.decoded(slot_table.encoded(table)) == table
            assert balancer_list.read(balancer_list.written(table)).slots == table.slots


def _list_of(data: bytes) -> SlotTable:
    return balancer_list.read(data.decode("ascii", errors="replace"))


_TABLE = SlotTable(3, ("192.0.2.11", "192.0.2.12"), {"192.0.2.11": Fraction(2)}, (8080, 8443))


def _registered() -> list[bytes]:
    """A value of each kind."""
    ini = registration.RegisteredIni(DOMAIN, 1, "alice", "[uwsgi]\n")
    backend = Member("192.0.2.11", "m", Fraction(1), Capacity(4, 8, 0), "0.1.0", 1_700_000_000)
    return [
        registration.encoded(registration.Sealed(ini)),
        member.encoded(backend),
        balancer_state.encoded(BalancerState("lb1", 3, "no", "0.1.0")),
        absences.encoded({"192.0.2.11": 1_700_000_000}),
        once.encoded(Holder("192.0.2.11", "m")),
        slot_table.encoded(_TABLE),
        balancer_list.written(_TABLE).encode("ascii"),
    ]


def _kept() -> list[bytes]:
    vassal = VassalRecord(spec("file = /a.py"), 1.0, _STAMP, text=_TALK)
    record = daemon_record.record_of("0.1.0", SETTINGS)
    good = msgspec.msgpack.encode([GoodIni(_NAME, _STAMP, _TALK)])
    return [encode(vassal), daemon_record.encode(record), good]


def _requests() -> list[bytes]:
    """One for each endpoint, of an administrator and of a tenant."""
    requests = []
    for endpoint in ENDPOINTS:
        query = "&".join(f"{name}=1" for name, _ in endpoint.parameters)
        for order in ORDERS if "{order}" in endpoint.path else [""]:
            path = re.sub("{order}", order, endpoint.path)
            path = re.sub("{domain}|{host}", "mallory.example", path)
            requests += [f"{who}{endpoint.method} {path}?{query}".encode() for who in "01"]
    return requests


_HIT = (
    b"GET /path\nX-Domain: mallory.example\nX-Host: mallory.example\nX-Navigate: 1\nX-Html: 1\n"
    b"X-Try: 1\nX-Runs: 1\nX-May-Run: 0\nX-Head-Bytes: 100\nX-Forwarded-For: ::1\n"
    b"X-Refused-File: /a\nX-Request-Id: 1\nX-Original-Method: GET\nX-Original-Path: /\n"
    b"X-Original-Agent: curl"
)

# Each target with the bytes that it begins with.
TARGETS: dict[str, tuple[Callable[[bytes], None], list[bytes]]] = {
    "ini": (read_an_ini, [_TALK, _RICH, _LONG]),
    "kept": (read_kept_state, _kept()),
    "pipe": (read_a_pipe, [bytes(message.value for message in Message)]),
    "control": (ask_control, _requests()),
    "activate": (ask_activate, [_HIT, _HIT[:110], b"GET /emperord-health"]),
    "registry": (read_a_registry, _registered()),
    "host": (read_a_host, [b"www.a.example:8080", b"[::1]", b"A.example."]),
}
