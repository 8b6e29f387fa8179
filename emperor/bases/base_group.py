"""The control group of a base of a home: it has the limits of one of its apps."""

import time
from typing import Protocol

from emperor.linux.group_names import group_name
from emperor.linux.groups import ControlGroup
from emperor.model.limits import Limits

# In the place of a domain, which never begins with a dot.
_BASE = ".base"


class Groups(Protocol):
    """The control groups of a daemon."""

    @property
    def can_make(self) -> bool:
        """Whether groups can be made."""

    def group(self, name: str) -> ControlGroup | None:
        """The group of that name, which is not made yet; None where none can be made."""

    def adopted(self, name: str) -> ControlGroup | None:
        """The control group `name`, which exists already; None where none can be made."""


def group_of_base(groups: Groups, uid: int, limits: Limits) -> ControlGroup | None:
    """A new control group for a base of that user. Raises CannotLaunch."""
    group = groups.group(group_name(uid, _BASE, time.monotonic_ns()))
    if group is not None:
        try:
            group.make(limits)
        except BaseException:
            group.close()
            raise
    return group
