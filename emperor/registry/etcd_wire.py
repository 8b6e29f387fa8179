"""The JSON of etcd's gateway: what is sent, and what the answers mean.

The names are those of etcd's protocol. Keys and values are base64. In answers 64-bit numbers are
strings, and what is zero is left out.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Literal, TypeVar

import msgspec

from emperor.model.registry_keys import Span
from emperor.registry.port import KeyValue

T = TypeVar("T")

# Codes of gRPC that an answer may have.
_DEADLINE, _NOT_FOUND, DENIED, _EXHAUSTED = 4, 5, 7, 8
_ABORTED, _INTERNAL, UNAVAILABLE, _UNAUTHENTICATED = 10, 13, 14, 16
_MEMBER_CANNOT = frozenset({1, _DEADLINE, _ABORTED, _INTERNAL, UNAVAILABLE})
# These have the code of a question that is wrong.
_TOKEN_IS_NEEDED = ("user name is empty", "revision of auth store is old", "invalid auth token")
_TOO_MANY = "too many requests"
_NO_SPACE = "database space exceeded"
NO_SPACE_CURE = (
    "its database is full: compact it, run `etcdctl defrag` on each member, and then"
    " `etcdctl alarm disarm`"
)


class Verdict(Enum):
    """What is to be done about an answer that is an error."""

    ASK_ANOTHER = auto()
    AUTHENTICATE = auto()
    DENIED = auto()
    GIVE_UP = auto()
    NO_LEASE = auto()


class RangeRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Asks for a key, or for the first keys of a span. `serializable`: what the member has, which
    may be old."""

    key: bytes
    range_end: bytes = b""
    limit: int = 0
    serializable: bool = False
    keys_only: bool = False


class PutRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Writes a key; with a lease it ends with that."""

    key: bytes
    value: bytes
    lease: int = 0


class DeleteRangeRequest(msgspec.Struct, frozen=True):
    """Deletes a key."""

    key: bytes


class Compare(msgspec.Struct, frozen=True):
    """Whether a key has that revision; 0: there is no such key."""

    key: bytes
    mod_revision: int
    target: Literal["MOD"] = "MOD"
    result: Literal["EQUAL"] = "EQUAL"


class RequestOp(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step of a transaction: one of these."""

    request_range: RangeRequest | None = None
    request_put: PutRequest | None = None
    request_delete_range: DeleteRangeRequest | None = None


class TxnRequest(msgspec.Struct, frozen=True):
    """A transaction: the steps of `success` if all of `compare` is so, else those of `failure`."""

    compare: list[Compare]
    success: list[RequestOp]
    failure: list[RequestOp]


class LeaseGrantRequest(msgspec.Struct, frozen=True):
    """Makes a lease of that many seconds."""

    TTL: int


class LeaseRequest(msgspec.Struct, frozen=True):
    """Renews a lease, or revokes it."""

    ID: int


class AuthenticateRequest(msgspec.Struct, frozen=True):
    """Logs in."""

    name: str
    password: str


class WatchCreateRequest(msgspec.Struct, frozen=True):
    """Watches a span from a revision on."""

    key: bytes
    range_end: bytes
    start_revision: int
    watch_id: int
    progress_notify: bool = True
    fragment: bool = True


class WatchRequest(msgspec.Struct, frozen=True):
    """A line that is sent on a stream of watches."""

    create_request: WatchCreateRequest


class Header(msgspec.Struct):
    """What an answer tells of the member that gives it, and of its state."""

    cluster_id: int = 0
    revision: int = 0
    raft_term: int = 0


class WireValue(msgspec.Struct):
    """A key with its value."""

    key: bytes = b""
    value: bytes = b""
    mod_revision: int = 0
    lease: int = 0

    def key_value(self) -> KeyValue:
        """The key and its value, as the rest of emperord has them."""
        return KeyValue(text_of(self.key), self.value, self.mod_revision)


class RangeReply(msgspec.Struct):
    """The answer to a range of keys."""

    header: Header = msgspec.field(default_factory=Header)
    kvs: list[WireValue] = []
    more: bool = False


class _OpReply(msgspec.Struct):
    response_range: RangeReply | None = None


class TxnReply(msgspec.Struct):
    """The answer to a transaction: of its failure branch, each key that it names."""

    header: Header = msgspec.field(default_factory=Header)
    succeeded: bool = False
    responses: list[_OpReply] = []

    def found(self) -> dict[str, WireValue]:
        """What the keys of a transaction that failed have now; those that do not exist are left
        out."""
        ranges = (each.response_range for each in self.responses)
        return {text_of(kv.key): kv for each in ranges if each for kv in each.kvs}


class TokenReply(msgspec.Struct):
    """The answer to a password."""

    token: str = ""


class LeaseReply(msgspec.Struct):
    """The answer to a new lease."""

    ID: int = 0
    TTL: int = 0


class KeptReply(msgspec.Struct):
    """A line of the answer to the renewal of a lease."""

    result: LeaseReply = msgspec.field(default_factory=LeaseReply)


class Nothing(msgspec.Struct):
    """An answer in which nothing matters."""


class Event(msgspec.Struct):
    """A key that was written or deleted."""

    kv: WireValue = msgspec.field(default_factory=WireValue)
    type: Literal["PUT", "DELETE"] = "PUT"


class WatchReply(msgspec.Struct):
    """What a stream tells of one watch."""

    header: Header = msgspec.field(default_factory=Header)
    watch_id: int = 0
    created: bool = False
    canceled: bool = False
    compact_revision: int = 0
    cancel_reason: str = ""
    fragment: bool = False
    events: list[Event] = []


class ErrorReply(msgspec.Struct):
    """What an answer that is an error says; that of a stream has the code by another name."""

    message: str = ""
    code: int = 0
    grpc_code: int = 0

    def verdict(self) -> Verdict:
        """What is to be done about it."""
        code = self.code or self.grpc_code
        if code == _UNAUTHENTICATED or any(each in self.message for each in _TOKEN_IS_NEEDED):
            return Verdict.AUTHENTICATE
        if code == _NOT_FOUND and "lease" in self.message:
            return Verdict.NO_LEASE
        if code in _MEMBER_CANNOT or (code == _EXHAUSTED and _TOO_MANY in self.message):
            return Verdict.ASK_ANOTHER
        if code == DENIED:
            return Verdict.DENIED
        return Verdict.GIVE_UP

    def cause(self) -> str:
        """The error in words, with the cure if there is one."""
        if _NO_SPACE in self.message:
            return NO_SPACE_CURE
        return self.message.removeprefix("etcdserver: ").removeprefix("mvcc: ")


class FailedReply(msgspec.Struct):
    """An answer that is an error. That of a stream has all within `error`."""

    error: str | ErrorReply = ""
    message: str = ""
    code: int = 0

    def reply(self) -> ErrorReply | None:
        """What it says, None if it is not etcd's."""
        if isinstance(self.error, ErrorReply):
            return self.error
        return ErrorReply(self.message, self.code) if self.message else None


class WatchLine(msgspec.Struct):
    """A line of a stream of watches."""

    result: WatchReply | None = None
    error: ErrorReply | None = None


def wire_of(content: bytes, kind: type[T]) -> T:
    """What was sent, as that type. Raises ValueError if it is none, as of a server that is no
    etcd."""
    try:
        found = msgspec.json.decode(content, type=kind, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    if isinstance(found, RangeReply | TxnReply) and not found.header.revision:
        raise ValueError("it has no revision")
    if isinstance(found, LeaseReply) and not found.ID:
        raise ValueError("it has no lease")
    return found


def text_of(key: bytes) -> str:
    """A key as text; it may have been written by anybody."""
    return key.decode(errors="surrogateescape")


def _bytes(key: str) -> bytes:
    return key.encode(errors="surrogateescape")


def encoded(request: msgspec.Struct) -> bytes:
    """A request as JSON."""
    return msgspec.json.encode(request)


def range_of(key: str, *, keys_only: bool = False, serializable: bool = False) -> RangeRequest:
    """The request for one key."""
    return RangeRequest(_bytes(key), keys_only=keys_only, serializable=serializable)


def range_of_span(span: Span, limit: int) -> RangeRequest:
    """The request for the first keys of a span."""
    return RangeRequest(_bytes(span.start), _bytes(span.end), limit)


def txn(expected: Mapping[str, int], changes: list[RequestOp], read: list[str]) -> TxnRequest:
    """Make these changes if each key has the revision that is expected; else read these keys."""
    return TxnRequest(
        compare=[Compare(_bytes(key), revision) for key, revision in expected.items()],
        success=changes,
        failure=[RequestOp(request_range=range_of(key)) for key in read],
    )


def put_of(key: str, value: bytes, lease: int) -> RequestOp:
    """The change that writes a key."""
    return RequestOp(request_put=PutRequest(_bytes(key), value, lease))


def delete_of(key: str) -> RequestOp:
    """The change that deletes a key."""
    return RequestOp(request_delete_range=DeleteRangeRequest(_bytes(key)))


def watch_of(number: int, span: Span, after: int) -> bytes:
    """A line that begins the watch with that number, from 1 on."""
    start, end = _bytes(span.start), _bytes(span.end)
    create = WatchCreateRequest(start, end, start_revision=after + 1, watch_id=number)
    return encoded(WatchRequest(create)) + b"\n"
