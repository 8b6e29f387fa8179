"""What came of the search for an ini of a host that has none on this machine."""

from enum import Enum


class Provided(Enum):
    """The answer to somebody who wants the host."""

    VASSAL = "a vassal answers for it now"
    NOTHING = "there is none"
    UNSURE = "nobody can tell now: the registry does not answer"
    REFUSED = "the registry has an entry for it that cannot be used here"
