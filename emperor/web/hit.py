"""Reads what nginx says about a request that its app did not take. A visitor may have written some
of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from emperor.model.cause import Cause, CauseKind, traceparent_of

# Characters of a header that are kept.
LONGEST_VALUE = 200


@dataclass(frozen=True, slots=True)
class Hit:
    """What nginx says about a request that the app did not take. `domain` is the app's name or a
    host of it, and `host` what the visitor has asked for. `navigates`: a browser navigates,
    and asks again by itself. `wants_html`: the answer is better in HTML. `tries`: how often nginx
    has asked here for this request. `runs`: how often the app may have begun to handle it.
    `refused_file`: what the app has named in X-Accel-Redirect, and nginx does not send. `may_run`:
    its method allows another run. `head_bytes`: its size without the body."""

    domain: str
    host: str
    navigates: bool
    wants_html: bool
    tries: int
    runs: int
    refused_file: str | None
    may_run: bool
    head_bytes: int
    client: str | None
    request_id: str | None
    method: str | None
    path: str | None
    agent: str | None
    traceparent: str | None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> "Hit":
        """Read the headers that nginx/emperord/journey.conf sets."""
        domain = _printable(headers.get("X-Domain")) or ""
        return cls(
            domain=domain,
            host=_printable(headers.get("X-Host")) or domain,
            navigates=headers.get("X-Navigate") == "1",
            wants_html=headers.get("X-Html") == "1",
            tries=len(headers.get("X-Try", "")),
            runs=len(headers.get("X-Runs", "")),
            refused_file=_printable(headers.get("X-Refused-File")),
            may_run=headers.get("X-May-Run") != "0",
            head_bytes=_number(headers.get("X-Head-Bytes", "")),
            client=_printable(headers.get("X-Forwarded-For")),
            request_id=_printable(headers.get("X-Request-Id")),
            method=_printable(headers.get("X-Original-Method")),
            path=_printable(headers.get("X-Original-Path")),
            agent=_printable(headers.get("X-Original-Agent")),
            traceparent=traceparent_of(headers.get("X-Traceparent")),
        )

    def cause(self, now: float) -> Cause:
        """The hit as the cause of a start. `now` in monotonic seconds."""
        return Cause(
            "hit",
            now,
            client=self.client,
            request=self.request_id,
            person=self.wants_html,
            method=self.method,
            path=self.path,
            agent=self.agent,
            traceparent=self.traceparent,
            kind=CauseKind.HIT,
        )


def _number(text: str) -> int:
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else 0


def _printable(value: str | None) -> str | None:
    """A header that visitors may write, so that it harms neither a terminal nor a log."""
    if not value:
        return None
    return "".join(char if char.isprintable() else "�" for char in value[:LONGEST_VALUE])
