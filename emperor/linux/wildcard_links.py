"""Links for the hosts that a wildcard stands for: SOCKETS/HOST leads to the wildcard's folder.

nginx finds the socket of an app by the host. A link is made when a request for the host is about to
be run, and is there while the door is open at most. Anybody can make up hosts, so there are few
links: the host that was asked for longest ago gives way, and gets its link again with its next
request.
"""

import logging
import os
from contextlib import suppress

from emperor.model.domain import is_domain
from emperor.model.log_fields import about
from emperor.model.wildcard import is_below, is_wildcard

log = logging.getLogger("emperord.wildcard_links")

# Links for one wildcard.
MOST_LINKS = 1000
# How a target begins, which tells these links from those of aliases. An earlier daemon may have
# left some.
_MARK = "./"
_STOPS = "it is an alias of {} until that app has ended"


class WildcardLinks:
    """The links beneath the folder `sockets`."""

    def __init__(self, sockets: str) -> None:
        self._sockets = sockets
        # The hosts of each domain, the one that was asked for last at the end.
        self._hosts: dict[str, dict[str, None]] = {}
        self._domains: dict[str, str] = {}
        self._last_problem = ""
        with os.scandir(sockets) as entries:
            for entry in entries:
                if entry.is_symlink() and os.readlink(entry.path).startswith(_MARK):
                    self._unlink(entry.name)

    def add(self, host: str, domain: str) -> bool:
        """Let `host` lead to the folder of `domain`. Returns whether it does."""
        if self._domains.get(host, domain) != domain:
            self.drop(host)
        hosts = self._hosts.setdefault(domain, {})
        hosts.pop(host, None)
        if len(hosts) >= MOST_LINKS:
            self.drop(next(iter(hosts)))
        if problem := self._link(host, domain):
            self._forget(host, domain)
            owner = self._alias_of(host)
            # The next request is served when that has ended.
            level = logging.INFO if owner else logging.WARNING
            self._complain(level, host, domain, _STOPS.format(owner) if owner else problem)
            return False
        hosts[host] = None
        self._domains[host] = domain
        return True

    def _link(self, host: str, domain: str) -> str | None:
        """Make the link. Returns why it cannot be made."""
        path, target = f"{self._sockets}/{host}", f"{_MARK}{domain}"
        try:
            os.symlink(target, path)
        except FileExistsError:
            if os.path.islink(path) and os.readlink(path) == target:
                return None
            return f"something is in the place of {path}; move it away"
        except OSError as error:
            return f"cannot make {path}: {error.strerror}"
        return None

    def _alias_of(self, host: str) -> str | None:
        """The app that has that host as an alias and a socket still, though its ini is gone."""
        with suppress(OSError):
            target = os.readlink(f"{self._sockets}/{host}")
            if is_domain(target) and os.path.lexists(f"{self._sockets}/{target}/socket"):
                return target
        return None

    def _complain(self, level: int, host: str, domain: str, problem: str) -> None:
        # Visitors may ask again and again.
        if problem != self._last_problem:
            self._last_problem = problem
            log.log(
                level, "cannot let %s lead to %s: %s", host, domain, problem, extra=about(domain)
            )

    def drop(self, name: str) -> None:
        """Remove the link of the host `name`; of a wildcard, the links of all hosts below it."""
        if not self._domains:
            return
        below = [name] if name in self._domains else []
        if is_wildcard(name):
            below += [host for host in self._domains if is_below(host, name)]
        for host in below:
            if domain := self._domains.get(host):
                self._unlink(host)
                self._forget(host, domain)

    def drop_all(self, domain: str) -> None:
        """Remove all links to the folder of `domain`."""
        for host in self._hosts.pop(domain, ()):
            del self._domains[host]
            self._unlink(host)

    def _forget(self, host: str, domain: str) -> None:
        self._domains.pop(host, None)
        hosts = self._hosts.get(domain, {})
        hosts.pop(host, None)
        if not hosts:
            self._hosts.pop(domain, None)

    def _unlink(self, host: str) -> None:
        path = f"{self._sockets}/{host}"
        with suppress(OSError):  # gone, or no link any more
            if os.readlink(path).startswith(_MARK):
                os.unlink(path)
