"""The loops in which a worker of uWSGI handles requests."""

from collections.abc import Mapping

from emperor.uwsgi.ini import Option

GREENLETS = frozenset({"gevent", "async"})
# Workers with these have another loop than uWSGI's own.
OTHER_LOOPS = GREENLETS | {
    "loop", "asyncio", "tornado", "greenlet", "ugreen", "fiber", "coroae", "worker-exec",
    "worker-exec2",
}  # fmt: skip


def is_gevent(last: Mapping[str, Option]) -> bool:
    """Whether the loop of gevent runs the app. `last` has the last option of each key."""
    return "gevent" in last or ("loop" in last and last["loop"].value == "gevent")
