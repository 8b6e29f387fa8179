"""Decides which of the administrator's files for single hosts nginx gets (`emperorctl sites`).

A file that nginx refuses must not keep nginx from starting, so it is left out, or an earlier
version of it stays.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

# The text of the file of each domain.
Sites = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Complaint:
    """Why nginx refuses a configuration. `line` is a line of the file of `domain`; 0 and None where
    nginx names neither."""

    text: str
    domain: str | None = None
    line: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """The `sites` that nginx accepts together, and the complaint about each domain whose file is
    not among them. The value of `sites` is an earlier version where there is one."""

    sites: Sites
    complaints: Mapping[str, Complaint]


class BrokenBase(Exception):
    """nginx refuses its configuration without any file of a single host; the message says why."""


def choose(wanted: Sites, before: Sites, test: Callable[[Sites], Complaint | None]) -> Choice:
    """The newest files of `wanted` that nginx accepts, and versions of `before` in the place of
    others. `test` asks nginx about a set of them. Raises BrokenBase."""
    chosen = dict(wanted)
    complaints: dict[str, Complaint] = {}
    while complaint := test(chosen):
        culprit = complaint.domain if complaint.domain in chosen else _culprit(chosen, test)
        if culprit is None:
            raise BrokenBase(complaint.text)
        earlier = before.get(culprit)
        if culprit in complaints or earlier in (None, chosen[culprit]):
            del chosen[culprit]
        else:
            chosen[culprit] = before[culprit]
        complaints.setdefault(culprit, complaint)
    return Choice(chosen, complaints)


def _culprit(sites: Sites, test: Callable[[Sites], Complaint | None]) -> str | None:
    """The first domain with whose file nginx refuses `sites`; None: it refuses them without any.
    What nginx refuses does not pass with more files either, so a bisection finds it."""
    if test({}):
        return None
    items = list(sites.items())
    passes, fails = 0, len(items)
    while fails - passes > 1:
        middle = (passes + fails) // 2
        if test(dict(items[:middle])):
            fails = middle
        else:
            passes = middle
    return items[fails - 1][0]


def server_block(domain: str) -> str:
    """The server block of nginx for the host `domain`, which includes the file of that host."""
    return (
        f"# Written by `emperorctl sites` from emperord/sites/{domain}.conf; do not edit.\n"
        "server {\n"
        f"    server_name {domain};\n"
        f"    set $domain {domain};\n"
        "    include emperord/site.conf;\n"
        f"    include emperord/sites-enabled/{domain}.inc;\n"
        "}\n"
    )
