"""An app that must not run twice, as a machine of the fleet knows it, and why it may not run."""

import asyncio
from dataclasses import dataclass, field

from emperor.model.once import Holder, MigrationRequest
from emperor.model.spec import Once as Rule

_RUNS_ON = "it runs on "


@dataclass(slots=True)
class OnceApp:
    """What is known of one app that must not run twice. `revision` is that of its key while it may
    run here; 0: it runs without a key. `why_not`: why it may not. `waits`: it waits for its turn to
    boot. `is_cut_off`: because the lease could not be renewed. `groups` has the control group of
    each of its processes, and `deadline` is when these are killed, None: with the lease. `request`
    is where else its visitors come, `request_revision` when that was last heard. `goes_to` is the
    machine that gets it when its processes have ended; `given_at` is when another machine gave it
    to this one."""

    rule: Rule
    revision: int | None = None
    why_not: str | None = None
    waits: bool = False
    is_cut_off: bool = False
    groups: dict[int, str] = field(default_factory=dict)
    deadline: float | None = None
    request: MigrationRequest | None = None
    request_revision: int = 0
    goes_to: Holder | None = None
    given_at: float | None = None
    asking: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def is_used(self) -> bool:
        """Whether its key is needed here, or may be soon."""
        return bool(self.groups) or self.revision is not None or self.asking is not None

    @property
    def runs_elsewhere(self) -> bool:
        """Whether another machine is known to run it; else it may be that the registry is away."""
        return (self.why_not or "").startswith(_RUNS_ON)


def runs_on(other: Holder, own_address: str) -> str:
    if other.address == own_address:
        return (
            f"{_RUNS_ON}another machine that is {other.address} too, and may run once in the fleet;"
            " set a fleet-address of its own on each backend"
        )
    return f"{_RUNS_ON}{other.address}, and may run once in the fleet"


def unreached(error: BaseException) -> str:
    """Why an app may not run while the registry is away."""
    why = str(error) or "it does not answer"
    return f"the registry cannot be reached ({why}), and it may run once in the fleet"


def goes_to(other: Holder) -> str:
    """Why an app may not run that is given to another machine."""
    return f"it goes to {other.address}, where its visitors are, and may run once in the fleet"
