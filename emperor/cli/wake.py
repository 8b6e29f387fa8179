"""A start of an app in words: who wanted it, and how long each phase took."""

from emperor.model.status import Wake

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
    return text


def phases(wake: Wake | None) -> str:
    """How long each phase of a start took, and all together; empty when none has ended. The first
    reply counts only if a visitor waited for it: otherwise it says when the next visitor came."""
    if wake is None:
        return ""
    marks = (
        ("until the old process had ended", wake.drained_ms),
        ("in the queue of apps to boot", wake.turn_ms),
        ("to spawn", wake.spawned_ms),
        ("to load the app", wake.loaded_ms),
        ("to accept", wake.accepting_ms),
        ("to the first reply", wake.first_reply_ms if wake.by in WOKEN_BY else None),
    )
    parts, before = [], 0.0
    for label, mark in marks:
        if mark is not None:
            parts.append(f"{milliseconds(mark - before)} {label}")
            before = mark
    return (
        f"{', '.join(parts)}: {milliseconds(before)} in all" if len(parts) > 1 else "".join(parts)
    )


def milliseconds(number: float) -> str:
    """A number of them as text."""
    return f"{number:.1f} ms" if number < 10 else f"{number:.0f} ms"
