"""The account of the inis that are not served, and the log lines about them."""

import logging
from collections.abc import Mapping

from emperor.model.log_fields import about
from emperor.model.refusal import Refusal, RefusalReason

log = logging.getLogger("emperord.refusals")


class Refusals:
    """One refusal for each domain without a vassal."""

    def __init__(self) -> None:
        self._by_domain: dict[str, Refusal] = {}

    @property
    def by_domain(self) -> Mapping[str, Refusal]:
        """A view of all refusals, which follows every change."""
        return self._by_domain

    def add(self, refusal: Refusal) -> None:
        """Add the refusal of a domain, or replace it."""
        is_new = self._by_domain.get(refusal.domain) != refusal
        # There may be thousands of inis beyond the limit, which get one line in the log.
        if is_new and refusal.reason is not RefusalReason.TOO_MANY_VASSALS:
            log.warning("%s", refusal.message, extra=about(refusal.domain))
        self._by_domain[refusal.domain] = refusal

    def remove(self, domain: str) -> bool:
        """Forget the refusal of a domain. Returns whether there was one."""
        return self._by_domain.pop(domain, None) is not None

    def count(self, reason: RefusalReason) -> int:
        """The number of inis refused for that reason."""
        return sum(refusal.reason is reason for refusal in self._by_domain.values())
