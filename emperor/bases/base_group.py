"""The control group of a base of a home: it has the limits of one of its apps."""

import time

from emperor.linux.group_names import group_name
from emperor.linux.groups import ControlGroup, ControlGroups
from emperor.model.limits import Limits

# In the place of a domain, which never begins with a dot.
_BASE = ".base"


def group_of_base(groups: ControlGroups, uid: int, limits: Limits) -> ControlGroup | None:
    """A new control group for a base of that user. Raises CannotLaunch."""
    group = groups.group(group_name(uid, _BASE, time.monotonic_ns()))
    if group is not None:
        group.make(limits)
    return group
