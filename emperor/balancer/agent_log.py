"""What the log of the agent says: one line for each change, and none for what stays as it is."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from emperor.balancer.metrics import TableProblem
from emperor.model.fleet_policy import Step
from emperor.model.member import Member
from emperor.model.slot_table import SlotTable, moved
from emperor.model.text import by_numbers

log = logging.getLogger("emperord.agent_log")

# All others are errors.
_LEVELS = {TableProblem.MISSING: logging.WARNING, TableProblem.UNMOVED: logging.WARNING}


class AgentLog:
    """Logs what changes for a balancer. `table` is the one at the start; `now` tells seconds since
    the epoch."""

    def __init__(self, table: SlotTable | None, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self.table_problem: TableProblem | None = None
        # When each problem last began.
        self.last: dict[TableProblem, float] = {}
        self._table = table
        self._members: dict[str, Member] | None = None
        self.problem = ""
        self._contact: str | None = None

    @property
    def _going_on(self) -> str:
        return (
            f"going on with table {self._table.serial}" if self._table else "there is no list yet"
        )

    @property
    def _least(self) -> str:
        return f" --serial {self._table.serial + 1}" if self._table else ""

    @property
    def is_reached(self) -> bool:
        """Whether the registry answers."""
        return self._contact == ""

    def reached(self) -> None:
        """The registry answers."""
        if self._contact is None or self._contact:
            log.info("the registry is reached; %s", self._going_on)
        self._contact = ""

    def lost(self, error: Exception) -> None:
        """The registry does not answer, or refuses."""
        if not self._contact:
            log.warning("cannot follow the registry: %s; %s", error, self._going_on)
        self._contact = str(error) or type(error).__name__

    def missed(self) -> None:
        """Some changes cannot be had any more."""
        log.info("the registry cannot tell all that has changed; reading it anew")

    def members(self, now: Mapping[str, Member], table: SlotTable | None) -> None:
        """The backends that are up."""
        before, self._members = self._members, dict(now)
        if before is None:
            missing = [each for each in (table.backends if table else ()) if each not in now]
            if missing:
                log.warning("down: %s; their slots stay theirs", ", ".join(missing))
            return
        for address in before.keys() - now.keys():
            keeps = "; its slots stay its own" if table and address in table.backends else ""
            log.warning("%s is down: its lease has ended%s", address, keeps)
        for address, member in now.items():
            was = before.get(address)
            if was is None:
                log.info("%s is up%s", address, ", and drains" if member.drains else "")
            elif was.drains != member.drains:
                log.info("%s %s", address, "drains" if member.drains else "drains no longer")

    def taken(self, table: SlotTable) -> None:
        """nginx has this table."""
        before, self._table, self.problem = self._table, table, ""
        self.table_problem = None
        if before and before.serial == table.serial:
            return
        log.info("table %d is written: %s", table.serial, _difference(before, table))

    def no_table(self) -> None:
        """The registry has no table of slots."""
        self._tell(
            TableProblem.MISSING,
            f"the registry has no table of slots; {self._going_on};"
            f" `emperorctl fleet slots init{self._least}` makes one",
        )

    def refused(self, table: SlotTable, why: str) -> None:
        """A table makes no sense after the one in use."""
        cure = "if it is what you want, `emperorctl fleet confirm"
        if self._table and table.serial < self._table.serial:
            cure += f" --serial {self._table.serial + 1}"
        self._tell(
            TableProblem.REFUSED,
            f"cannot use table {table.serial} of the registry: {why}; {self._going_on}; {cure}`"
            " has balancers take it",
        )

    def broken(self, why: str) -> None:
        """What the registry has is no table."""
        self._tell(
            TableProblem.BROKEN,
            f"cannot use the registry's table of slots: {why}; {self._going_on};"
            f" `emperorctl fleet slots init --force{self._least}` makes another one",
        )

    def unwritten(self, path: Path, error: Exception) -> None:
        """The file cannot be replaced."""
        cause = error.strerror if isinstance(error, OSError) else str(error)
        self._tell(TableProblem.UNWRITTEN, f"cannot write {path}: {cause}; {self._going_on}")

    def done(self, step: Step) -> None:
        """The agent has changed the table."""
        parts = [f"took in {', '.join(step.added)}"] if step.added else []
        if step.removed:
            parts.append(f"gave the slots of {', '.join(step.removed)} to others")
        log.info("%s", " and ".join(parts))

    def undone(self, step: Step) -> None:
        """The agent cannot make a change of the table."""
        wanted = ", ".join([*step.added, *step.removed])
        self._tell(TableProblem.UNMOVED, f"cannot move slots for {wanted}: {step.why}")

    def _tell(self, table_problem: TableProblem, problem: str) -> None:
        """Once, until it is another one."""
        if self.problem != problem:
            self.problem, self.table_problem = problem, table_problem
            self.last[table_problem] = self._now()
            log.log(_LEVELS.get(table_problem, logging.ERROR), "%s", problem)


def _difference(before: SlotTable | None, now: SlotTable) -> str:
    counts = Counter(now.slots)
    if before is None:
        return f"{len(now.slots)} slots of {len(counts)} backends"
    old = Counter(before.slots)
    changed = [each for each in {**old, **counts} if old[each] != counts[each]]
    changed.sort(key=by_numbers)
    parts = [f"{each} {old[each]} → {counts[each]}" for each in changed]
    return "; ".join([*parts, f"{moved(before.slots, now.slots)} of {len(now.slots)} slots move"])
