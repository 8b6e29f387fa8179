"""A start of an app in words: who wanted it, and how long each phase took."""

from emperor.model.history import Phase, phases_of
from emperor.model.status import Wake
from emperor.model.text import milliseconds

WOKEN_BY = {"hit": "a hit", "connection": "a connection on its socket"}


def who(wake: Wake) -> str:
    """Who wanted the app, as far as that is known; with what visitors wrote, as they wrote it."""
    text = WOKEN_BY.get(wake.by, wake.by)
    if wake.client is not None:
        text += f" from {wake.client}"
    if wake.method is not None and wake.path is not None:
        text += f" for {wake.method} {wake.path}"
    if wake.agent is not None:
        text += f", agent {wake.agent}"
    if wake.request_id is not None:
        text += f", request {wake.request_id}"
    if wake.traceparent is not None:
        text += f", trace {wake.traceparent}"
    return text


_PHASES = {
    Phase.DRAIN: "until the old process had ended",
    Phase.TURN: "in the queue of starts",
    Phase.SPAWN: "to spawn",
    Phase.LOAD: "to load the app",
    Phase.ACCEPT: "to accept",
    Phase.FIRST_REPLY: "to the first reply",
}


def phases(wake: Wake | None) -> str:
    """How long each phase of a start took, and all together; empty when none has ended."""
    found = phases_of(wake) if wake else []
    parts = [f"{milliseconds(took)} {_PHASES[phase]}" for phase, took in found]
    total = sum(took for _, took in found)
    return f"{', '.join(parts)}: {milliseconds(total)} in all" if len(parts) > 1 else "".join(parts)
