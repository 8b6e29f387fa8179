"""The text of docs/api.md, from the tables and records of the code."""

import ast
import inspect
import textwrap
from collections.abc import Iterable
from dataclasses import is_dataclass
from datetime import datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from docs.folding import folded, folded_item
from emperor.model.activity import Active, Activity, TenantCounts
from emperor.model.authority import SCOPE, Caller, Operation, Scope, Verdict
from emperor.model.bases_report import Base, BasesReport, LeftOut, WithoutBase
from emperor.model.cause import CauseKind
from emperor.model.client_limits import BURST, MOST_PER_TENANT, PER_SECOND
from emperor.model.events import MEANING as EVENTS
from emperor.model.history import (
    Hour,
    PastStart,
    PastStop,
    StartOutcome,
    Stats,
    StopKind,
    VassalHistory,
    VassalStats,
)
from emperor.model.notice import (
    Notice,
    NoticeKind,
    NoticeOutcome,
    NoticeSubject,
    NoticeTest,
)
from emperor.model.problem import Problem, ProblemCode
from emperor.model.refusal import MEANING as REASONS
from emperor.model.registry_status import MembershipStatus, NotFollowed, RegistryStatus
from emperor.model.slow_imports import SlowImport
from emperor.model.status import (
    AppHits,
    EmperorStatus,
    Level,
    LimitHits,
    Refused,
    Report,
    ReportedState,
    SettingInEffect,
    SettingsInEffect,
    Stop,
    TransitionEvent,
    UpgradeAccepted,
    VassalDetail,
    VassalStatus,
    Wake,
)
from emperor.supervisor.events import REMEMBERED
from emperor.web.control import ORDERS
from emperor.web.endpoints import ENDPOINTS, Endpoint
from emperor.web.pages import Page
from emperor.web.server import IDLE_SECONDS

RECORDS = (
    Report, EmperorStatus, RegistryStatus, NotFollowed, MembershipStatus, VassalStatus, Refused,
    LimitHits, VassalDetail, AppHits, SlowImport,
    Wake, Stop,
    TransitionEvent, VassalHistory, PastStart, PastStop, Hour, Stats, VassalStats,
    Activity, Active, TenantCounts,
    SettingsInEffect, SettingInEffect, BasesReport, Base, LeftOut, WithoutBase,
    NoticeTest, NoticeOutcome,
    Notice, NoticeSubject, UpgradeAccepted, Problem,
)  # fmt: skip
_SCALARS = {str: "string", bool: "boolean", int: "integer", float: "number", datetime: "time"}

_ANSWERS = {
    Page.WAITING: "the app starts; for a browser, which asks again",
    Page.UNKNOWN: "there is no such vassal",
    Page.NO_DOMAIN: "`X-Domain` is not a valid host name",
    Page.BROKEN: "the vassal is throttled",
    Page.MAINTENANCE: "the operator has closed the vassal",
    Page.REFUSED: "the ini of this domain is not served",
    Page.FAILED: "the app may have begun to handle the request, which `repeat` does not repeat",
    Page.NO_DOWNLOAD: "the app named a file that `downloads.conf` does not allow",
    Page.LARGE_HEAD: "the app has refused the head, which is above the ini's own `buffer-size`",
    Page.CROWDED: "too many requests are held",
    Page.ELSEWHERE: "the app runs on another machine of the fleet, and may run once (`once`)",
    Page.LATE: "the app did not accept in time",
    Page.UNSURE: "no ini is for the host, and the registry, which may have one, does not answer",
    Page.STOPPING: "the vassal or emperord stops",
}

_PAGE = """\
# The interface for programs

<!-- Written by `make docs` from emperor/web/control.py and emperor/model;
do not edit. -->

emperord has two unix sockets in its run-dir, `/run/emperord` unless set otherwise. Both speak
HTTP/1.1.

- `control.sock` is for programs and `emperorctl`: status, orders, events, metrics. Everybody may
  connect. [Who may do what](#who-may-do-what) depends on the user and groups of the client.
  It also has pages for a browser, below `/console/` ([console](console.md)); they are for people,
  and no part of the contract.
- `activate.sock` is for nginx: it asks there for an app that did not take a request.

```
curl --unix-socket /run/emperord/control.sock http://emperord/v1/status
curl --unix-socket /run/emperord/control.sock -X POST \\
    http://emperord/v1/vassals/www.example.com/sleep
```

## Who may do what

The kernel tells emperord the user and groups that the client had when it connected
(`SO_PEERCRED`, `SO_PEERGROUPS`).

- Root, the user that emperord runs as, and the members of the group `control-group` (`emperor`
  unless set otherwise) are administrators, and may do all.
- Every other user is a tenant. It has the vassals that run as it: `uid` of a
  [VassalStatus](#vassalstatus) is its number. An ini that is not served is its own if the ini names
  it, or if it owns the file. All other vassals, inis, hosts and events do not exist for it: they
  are in no list, count, metric or text, and an answer about one of them is that about a host
  without a vassal.

| operation | administrators | the tenant | other tenants |
|---|---|---|---|
{authority}

"its own" means that a list has the tenant's own vassals only. For a tenant, `held` of an
[EmperorStatus](#emperorstatus) and `boot_position` count its own, `draining_since` is null,
`turned_away` is 0, the metrics of the daemon are 0, and `seq` counts its own events.

A tenant has at most {connections} connections; a further one is answered `too-many-connections`,
or by a page where `Accept` of its request has `text/html`, and closed. Beyond {burst} requests at
once, its requests are answered {rate:g} a second. A connection on which no request arrives for
{idle:g} s is closed.

Each order is one line in the log with the uid of the client, and the cause of the events that
follow names it too.

## What is stable

Stable from 1.0 on, under `/v1`: the paths and methods, the names, types, units and null of fields,
the codes of errors, the values of enumerations, the names, types and labels of metrics, and the
headers and status codes of the activation endpoint.

Not stable:

- New fields, enumeration values, error codes, endpoints and metrics may be added. A program ignores
  fields that it does not know, and expects values that it does not know.
- Texts for people may change: `detail`, `by`, `reason` of a Stop, `last_error`, `error`, `title`,
  and the help of metrics. A program decides by codes, states and numbers.
- The order of fields, and of metrics.

## Conventions

- Answers are JSON in UTF-8, unless an endpoint says otherwise. A request has no body.
- A time is a string by RFC 3339 in UTC, with milliseconds: `2026-03-01T12:00:00.000Z`.
- A field is always present. It is null where it does not apply; each field says when that is.
- The unit is in the name: `_seconds`, `_ms` (milliseconds), `_bytes`. `_at` is a moment, `_since`
  the moment when something began. A name without a unit is a count, an id, a path or a text.

## Endpoints

{endpoints}

### Orders

{orders}

A vassal that sleeps stays asleep after `sleep` and `reload`. The next hit wakes it, also after
`sleep`. In maintenance, `start` and `restart` fail (`order-failed`).

### Reading events

`seq` begins with 1 when the daemon starts, is restarted or is upgraded, and grows by one with each
event. A gap between two lines of one stream means that events were lost: the daemon keeps at most
1000 lines for a reader that does not keep up, and drops what comes then. A reader that finds a gap
reads `/v1/status` anew.

The stream ends when the daemon ends, also at an upgrade. After it connects again, a reader compares
`instance_id` of `/v1/status` with the one before. If it is the same, `seq` goes on, and the
{remembered} events that the daemon remembers close the gap as far as they reach. If it is another,
`seq` has begun anew, and the reader reads `/v1/status`.

### The answer to an upgrade

202 is sent when the new version has proved that it can start, and nothing is left to do but to
execute it. All connections to the control socket end then; new ones wait until the new version
accepts them. It has taken over when `instance_id` of `/v1/status` is another one. If the execution
fails after all, which the log tells, `instance_id` stays the same.

## Records

{records}

## Enumerations

{enumerations}

## Errors

An endpoint answers an error as a [Problem](#problem) of type `application/problem+json` (RFC 9457)
with a status of 400 or more. Every endpoint may answer `internal-error`. An answer 405 has the
header `Allow`. Invalid HTTP gets 400, and an unknown `Expect` 417, as plain text.

{errors}

## Metrics

[metrics.md](metrics.md) lists the metrics of `GET /metrics`.

## The activation endpoint

nginx asks on `activate.sock` with any method and any path; `nginx/emperord/journey.conf` does so
with GET. Headers of the request:

- `X-Domain`: the host name that the app is wanted for.
- `X-Host`: the host that the visitor has asked for, if that is another name. Pages show it.
- `X-Navigate`: `1` when a browser navigates, which can be shown a page that loads itself again.
- `X-Html`: `1` when an answer is better in HTML than in plain text.
- `X-Try`: one more `1` each time that this request comes back; `1` the first time.
- `X-Runs`: a `1` if the app may have begun to handle this request, and has not answered.
- `X-Refused-File`: what the app has named in `X-Accel-Redirect`, if nginx does not send it, and `/`
  for what is no path. Three dots end what is cut.
- `X-May-Run`: `1`, or `0` if the request must not run again.
- `X-Head-Bytes`: the size of the request without its body.
- `X-Original-Method`: the method of the visitor's request.
- `X-Original-Path`: its path, without the query.
- `X-Original-Agent`: its user agent.
- `X-Request-Id`: nginx's id of the request, for `request_id` of a [Wake](#wake) and the log.
- `X-Traceparent`: the `traceparent` of the request (W3C Trace Context), for that of a Wake.
- `X-Forwarded-For`: the address of the visitor, for `client` of a Wake.

Only `X-Domain` is required. Answers:

- 200 with `X-Accel-Redirect: @app` and without a body: the app accepts, and nginx runs the request.
  With the setting `wake-header`, `X-Emperord-Wake: 101ms` says how long it was held for a start.
{answers}

A 503 has `Retry-After` in seconds. Bodies are HTML or plain text, as `X-Html` asks; they are pages
for visitors, and no part of the contract.

`GET /emperord-health` without `X-Domain` is for load balancers: 200 and `serving`, or 503 and
`draining` or `stopping`.
"""


def api() -> str:
    """The whole of api.md."""
    return _PAGE.format(
        endpoints="\n\n".join(map(_endpoint, ENDPOINTS)),
        authority=_authority(),
        connections=MOST_PER_TENANT,
        burst=BURST,
        rate=PER_SECOND,
        idle=IDLE_SECONDS,
        orders=_orders(),
        remembered=REMEMBERED,
        records="\n\n".join(map(_record, RECORDS)),
        enumerations="\n\n".join(_enumerations()),
        errors=_list((f"`{code.code}` ({code.status})", code.title) for code in ProblemCode),
        answers=_list((str(page.value.status), _ANSWERS[page]) for page in Page),
    )


def meanings(kind: type) -> dict[str, str]:
    """The text below each field of a record, or each member of an enumeration, by its name."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for statement, below in zip(tree.body, tree.body[1:], strict=False):
        match statement, below:
            case (
                ast.AnnAssign(target=ast.Name(name)) | ast.Assign(targets=[ast.Name(name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = " ".join(text.split())
    return found


def _endpoint(endpoint: Endpoint) -> str:
    answer = endpoint.answer
    body = answer if isinstance(answer, str) else _type(answer)
    lines = [
        f"### {endpoint.method} {endpoint.path}", "", folded(endpoint.summary), "",
        folded_item(f"- Answer: {endpoint.status}, {body}."),
    ]  # fmt: skip
    for name, meaning in endpoint.parameters:
        lines.append(folded_item(f"- Parameter `{name}`: {meaning}."))
    if endpoint.problems:
        codes = ", ".join(f"`{code.code}`" for code in endpoint.problems)
        lines.append(folded_item(f"- Errors: {codes}."))
    return "\n".join(lines)


def _authority() -> str:
    """The rows of the table of who may do what, by asking for each operation."""
    administrator, tenant = Caller(0, is_administrator=True), Caller(1000, is_administrator=False)
    rows = []
    for operation in Operation:
        is_list = SCOPE[operation] is Scope.LIST
        cells = [
            _allowed(administrator.may(operation, 1000)),
            "its own" if is_list else _allowed(tenant.may(operation, 1000)),
            "their own" if is_list else _allowed(tenant.may(operation, 1001)),
        ]
        rows.append(f"| `{operation.value}` | {' | '.join(cells)} |")
    return "\n".join(rows)


def _allowed(verdict: Verdict) -> str:
    return {
        Verdict.ALLOWED: "yes",
        Verdict.FORBIDDEN: "no (`forbidden`)",
        Verdict.HIDDEN: "no (`no-such-vassal`)",
    }[verdict]


def _orders() -> str:
    return _list((f"`{order}`", EVENTS_OF_ORDERS[order]) for order in ORDERS)


EVENTS_OF_ORDERS = {
    "start": "wake it and wait until it accepts; a throttled vassal is tried at once",
    "sleep": "have its process finish its requests and end",
    "restart": "end its process, start another one, and wait until that accepts",
    "restart-fresh": "the same, but kill its processes at once, and give it another socket: nothing"
    " that they have left answers visitors any more",
    "reload": "boot a successor beside its process, which takes over when it accepts",
    "maintenance-on": "have its process finish its requests and end; visitors get 503, and nothing"
    " wakes it, until `maintenance-off`, over restarts of the daemon and reboots",
    "maintenance-off": "end that: the next hit wakes it",
}


def _record(record: type) -> str:
    hints, texts = get_type_hints(record), meanings(record)
    assert hints.keys() == texts.keys(), f"a field of {record.__name__} has no meaning"
    fields = _list((f"`{name}` ({_type(hints[name])})", texts[name]) for name in hints)
    return f"### {record.__name__}\n\n{_docstring(record)}\n\n{fields}"


def _docstring(kind: type) -> str:
    assert kind.__doc__
    return folded(" ".join(kind.__doc__.split()))


def _enumerations() -> Iterable[str]:
    for kind in (ReportedState, Level, CauseKind, StartOutcome, StopKind, NoticeKind):
        texts = meanings(kind)
        members = _list((f"`{member.value}`", texts[member.name]) for member in kind)
        yield f"### {kind.__name__}\n\n{members}"
    yield f"### Event\n\n{_list((f'`{event.value}`', EVENTS[event]) for event in EVENTS)}"
    yield f"### RefusalReason\n\n{_list((f'`{why.value}`', REASONS[why]) for why in REASONS)}"
    yield (
        "### Activation\n\n- `fallback`: nginx cannot connect while the app does not accept, and"
        " asks\n  emperord\n- `socket`: nginx can always connect, and a connection wakes the app"
    )


def _type(kind: Any) -> str:
    if kind in _SCALARS:
        return _SCALARS[kind]
    if get_origin(kind) is UnionType:
        (present,) = (option for option in get_args(kind) if option is not NoneType)
        return f"{_type(present)} or null"
    if get_origin(kind) is tuple:
        return f"array of {_type(get_args(kind)[0])}"
    assert is_dataclass(kind) or issubclass(kind, Enum)
    return f"[{kind.__name__}](#{kind.__name__.lower()})"


def _list(items: Iterable[tuple[str, str]]) -> str:
    return "\n".join(folded_item(f"- {term}: {text}") for term, text in items)
