"""What to say when etcd denies a right: which user lacks which, and the command that grants it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from emperor.model.registry_keys import Span
from emperor.model.text import plain
from emperor.registry.port import RegistryRefused

# A change of an ini with many aliases has many keys.
_MOST_KEYS = 3


class Denied(RegistryRefused):
    """The user of registry.ini may not do what was asked for."""

    def __init__(self) -> None:
        super().__init__("the registry refuses it: permission denied")


@contextmanager
def naming(user: str, may: str, *wanted: str | Span) -> Iterator[None]:
    """Run the block, whose denial becomes one that tells the user, what it may not (read, write),
    and the keys. Raises RegistryRefused."""
    try:
        yield
    except Denied as error:
        right = "read" if may == "read" else "readwrite"
        first = plain(_argument(wanted[0]))
        raise RegistryRefused(
            f"the registry refuses it: its user {user} may not {may} {_names(wanted)}; name a user"
            " in registry.ini who may, or give this one a role with the right"
            f" (`etcdctl role grant-permission ROLE {right} {first}`)"
        ) from error


def _names(wanted: Sequence[str | Span]) -> str:
    names = [plain(each.start if isinstance(each, Span) else each) for each in wanted]
    if len(names) > _MOST_KEYS:
        names[_MOST_KEYS - 1 :] = [f"{len(names) - _MOST_KEYS + 1} more keys"]
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


def _argument(wanted: str | Span) -> str:
    """A key or a prefix for etcdctl."""
    if isinstance(wanted, str):
        return wanted
    return f"--prefix=true {wanted.start}" if wanted.start.endswith("/") else wanted.start
