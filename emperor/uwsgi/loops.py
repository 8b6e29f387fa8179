"""The loops in which a worker of uWSGI handles requests."""

from collections.abc import Mapping

from emperor.uwsgi.ini import Option, is_computed, leading_number

GREENLETS = frozenset({"gevent", "async"})
# Workers with these have another loop than uWSGI's own.
OTHER_LOOPS = GREENLETS | {
    "loop", "asyncio", "tornado", "greenlet", "ugreen", "fiber", "coroae", "worker-exec",
    "worker-exec2",
}  # fmt: skip


# These switch between requests in uWSGI's own loop for `async`, which runs in each thread.
_IN_OWN_LOOP = frozenset({"async", "ugreen", "greenlet"})


def is_gevent(last: Mapping[str, Option]) -> bool:
    """Whether the loop of gevent runs the app. `last` has the last option of each key."""
    return "gevent" in last or ("loop" in last and last["loop"].value == "gevent")


def async_in_threads(last: Mapping[str, Option]) -> Option | None:
    """The option `async` where uWSGI's own loop for it runs in several threads: the app gets a
    SystemError for each request there (measured). None for all else, as for gevent."""
    counts = [last.get("async"), last.get("threads")]
    if not OTHER_LOOPS.difference(_IN_OWN_LOOP).isdisjoint(last):
        return None
    are_many = all(
        each and not is_computed(each) and leading_number(each.value) > 1 for each in counts
    )
    return counts[0] if are_many else None
