"""What is asked of the bases, and what they give: an app."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emperor.bases.base_process import OnExit, OnUnfit
from emperor.bases.order import Order, User
from emperor.linux.groups import ControlGroup
from emperor.linux.processes import LedProcess
from emperor.model.limits import Limits


@dataclass(frozen=True, slots=True)
class Home:
    """Whose apps can be forked from one base: those with the same Python, user and limits."""

    python: str
    user: User | None
    no_new_privs: bool
    open_files: tuple[int, int]


def name_of(user: User | None) -> str:
    """The name of a user, or its number; empty for that of the daemon."""
    return "" if user is None else user.name or str(user.uid)


@dataclass(frozen=True, slots=True)
class Sharing:
    """What decides whether an app is forked from the base of its home: its `domain`.
    `environment` is that of its user. `group` makes a control group
    for a base with these `limits`, those of the app; it raises CannotLaunch."""

    home: Home
    domain: str
    environment: dict[str, str]
    limits: Limits
    group: Callable[[Limits], ControlGroup | None]


@dataclass(frozen=True, slots=True)
class Request:
    """An app, as `order` has it. `fds` are its descriptors, and `entrances` those of the files by
    which a process enters its control group. `sharing` is why it can have no base of its
    home where it can have none: empty where that needs no words."""

    order: Order
    fds: Sequence[int]
    entrances: Sequence[int]
    sharing: Sharing | str
    on_exit: OnExit
    on_unfit: OnUnfit


@dataclass(frozen=True, slots=True)
class Forked:
    """An app, and the home of which its base is; empty for that of the standard library. `why_not`
    is why its base is not that of its home, empty where nothing speaks for that."""

    process: LedProcess
    home: str
    why_not: str = ""
