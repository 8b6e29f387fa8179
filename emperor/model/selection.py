"""Decides which vassals an order is for that names domains, shell patterns, or all."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from emperor.model.authority import Operation
from emperor.model.status import ReportedState, VassalStatus

# No host name has one of these.
_WILDCARDS = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Selection:
    """What an order comes to for the vassals that it names. `domains` are to be acted on. `spared`
    are vassals that a pattern or --all matches, and on which this order does not act. `unmatched`
    are the patterns that match no vassal."""

    domains: tuple[str, ...]
    spared: tuple[VassalStatus, ...] = ()
    unmatched: tuple[str, ...] = ()


def is_pattern(word: str) -> bool:
    """Whether a word is a shell pattern, and no domain."""
    return not _WILDCARDS.isdisjoint(word)


def matches(word: str, name: str) -> bool:
    """Whether a domain or a pattern means the vassal of that name."""
    return fnmatchcase(name, word) if is_pattern(word) else name == word


def unmatched(words: Iterable[str], names: Collection[str]) -> list[str]:
    """The words that mean none of these vassals."""
    known = frozenset(names)
    return [
        word
        for word in words
        if word not in known and not any(matches(word, name) for name in known)
    ]


def select(words: Sequence[str], vassals: Collection[VassalStatus], order: Operation) -> Selection:
    """The vassals that `words` name, each once and in the order of the words. A domain is taken as
    it is, whether there is such a vassal or not."""
    chosen: dict[str, None] = {}
    spared: dict[str, VassalStatus] = {}
    unknown = []
    for word in words:
        if not is_pattern(word):
            chosen[word] = None
            continue
        matching = [vassal for vassal in vassals if matches(word, vassal.name)]
        if not matching:
            unknown.append(word)
        for vassal in matching:
            if _spares(order, vassal):
                spared[vassal.name] = vassal
            else:
                chosen[vassal.name] = None
    left = tuple(vassal for name, vassal in spared.items() if name not in chosen)
    return Selection(tuple(chosen), left, tuple(unknown))


def _spares(order: Operation, vassal: VassalStatus) -> bool:
    """Whether an order to many vassals leaves this one alone. Nobody wants to wake thousands of
    apps by a restart of those that run."""
    is_closed = vassal.maintenance_since is not None
    match order:
        case Operation.START:
            return is_closed
        case Operation.RESTART | Operation.RESTART_FRESH:
            return is_closed or vassal.state is ReportedState.PARKED
        case _:
            return False
