"""The account of visits: their answers, compared with what the apps have noted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.fleet.backend import Backend
from tests.fleet.client import Visit


@dataclass(frozen=True, slots=True)
class Account:
    """Visits that are over, and which backends have begun to work on each, by its id."""

    visits: Sequence[Visit]
    runs: Mapping[str, Sequence[Backend]]

    def failed(self, method: str) -> list[Visit]:
        """The visits of that method that were not answered by their app."""
        return [visit for visit in self._by(method) if visit.failed]

    def twice(self, method: str) -> list[Visit]:
        """The visits of that method that ran more than once."""
        return [visit for visit in self._by(method) if len(self.ran_on(visit)) > 1]

    def unheard(self) -> list[Visit]:
        """The visits that were answered though no app has noted them."""
        return [visit for visit in self.visits if not visit.failed and not self.ran_on(visit)]

    def ran_on(self, visit: Visit) -> Sequence[Backend]:
        """The backends whose apps have begun to work on it."""
        return self.runs.get(visit.id, ())

    def sent(self, since: float, until: float = float("inf")) -> "Account":
        """The account of those visits alone that were sent in that time."""
        return Account([v for v in self.visits if since <= v.sent < until], self.runs)

    def places(self) -> dict[str, set[Backend]]:
        """Where each domain was served."""
        found: dict[str, set[Backend]] = {}
        for visit in self.visits:
            found.setdefault(visit.question.domain, set()).update(self.ran_on(visit))
        return found

    def __str__(self) -> str:
        return "; ".join(
            f"{len(self._by(method))} {method}s: {len(self.failed(method))} failed, "
            f"{len(self.twice(method))} ran twice"
            for method in ("GET", "POST")
        )

    def _by(self, method: str) -> list[Visit]:
        return [visit for visit in self.visits if visit.question.method == method]
