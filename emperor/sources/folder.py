"""The folder of inis as a source of vassals: what changed in it becomes orders to the governor.

A broken ini never takes a site down: the last good spec stays in service, and says so.
"""

import asyncio
import logging
import os
from collections.abc import Collection, Mapping

from emperor.linux.limits import descriptors
from emperor.model.claims import Claims
from emperor.model.definition import BrokenIni, FileOwner
from emperor.model.domain import LONGEST_DOMAIN, is_domain
from emperor.model.fd_budget import limit_for
from emperor.model.lifecycle import State
from emperor.model.log_fields import about
from emperor.model.ports import CannotListen
from emperor.model.refusal import Refusal, RefusalReason
from emperor.model.settings import Settings
from emperor.model.spec import Spec, Stamp
from emperor.sources.files import Draft, read_draft, stamp_of
from emperor.supervisor.governor import Governor
from emperor.supervisor.records import Vassal
from emperor.uwsgi.identity import Accounts, identity_of
from emperor.uwsgi.ini import Ini, parse
from emperor.uwsgi.resolver import Resolver
from emperor.uwsgi.spec import spec_of

log = logging.getLogger("emperord.folder")

# Editors write a new file and rename it, or rename the old one and write anew: an ini that comes
# back at once was never gone.
GRACE_SECONDS = 0.2
RETRY_SECONDS = 3.0
# After so many inis the loop is given a turn.
_SLICE = 250


class VassalFolder:
    """Reads inis and tells the governor. `resolver` has uWSGI read those that are beyond us."""

    def __init__(
        self,
        settings: Settings,
        governor: Governor,
        accounts: Accounts,
        resolver: Resolver,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._settings = settings
        self._governor = governor
        self._accounts = accounts
        self._resolver = resolver
        there_are = descriptors()
        self._most = there_are.vassals
        self._full = (
            f"the limit on open files, {there_are.limit}, holds {self._most} vassals; restart"
            " emperord with LimitNOFILE= of the unit raised"
        )
        self._left_out = 0
        self._tasks = tasks
        self._real_folder = os.path.realpath(settings.vassals_dir)
        self._claims = Claims()
        # None: it is known, and has to be read again.
        self._stamps: dict[str, Stamp | None] = {}
        self._passed_over: set[str] = set()
        # Thousands of lines at the start would say nothing that their number does not.
        self._announces = False
        self._refused: dict[str, Refusal] = {}
        self._is_closed = False

    @property
    def refused(self) -> Mapping[str, Refusal]:
        """The inis that are not served, by their names without `.ini`."""
        return self._refused

    def resume(self, is_same: bool) -> None:
        """Go on with the vassals that the governor restored. `is_same`: the same version read their
        inis with the same settings, so those that have not changed need not be read again."""
        for vassal in self._governor.vassals:
            self._claims.take(vassal.spec)
            if vassal.state is State.REMOVED:
                self._release_when_gone(vassal.spec)
            else:
                self._stamps[vassal.spec.ini] = vassal.stamp if is_same else None

    async def rescan(self) -> None:
        """Look at every ini, and for those that are gone."""
        try:
            present = self._listing()
        except OSError as error:
            log.warning("cannot read %s: %s", self._settings.vassals_dir, error.strerror)
            return
        unhappy = self._unhappy()
        for name in unhappy:
            # What stood in the way outside of the ini, a permission say, may have been mended.
            self._stamps.pop(name, None)
        self._passed_over &= present
        names = sorted({*present, *self._stamps, *unhappy})
        for start in range(0, len(names), _SLICE):
            with self._governor.checkpoint.batch():
                for name in names[start : start + _SLICE]:
                    self.look(name)
            await asyncio.sleep(0)
        self._announces = True
        self._tell_who_is_left_out()

    def _listing(self) -> set[str]:
        self._real_folder = os.path.realpath(self._settings.vassals_dir)
        return set(os.listdir(self._real_folder))

    def _unhappy(self) -> list[str]:
        """The inis that are not served as they stand."""
        refused = [f"{domain}.ini" for domain in self._refused]
        return refused + [vassal.spec.ini for vassal in self._governor.vassals if vassal.ini_error]

    def close(self) -> None:
        """From here on nothing is admitted or revised: the daemon stops."""
        self._is_closed = True

    def look(self, name: str) -> None:
        """Take notice of one file of the folder: new, changed, touched, broken, gone."""
        if self._is_closed:
            return
        try:
            self._look(name)
        except Exception:
            # A fault of ours in one ini must not end the service of all the others.
            log.exception("cannot read %s: a fault in emperord", name)

    def _look(self, name: str) -> None:
        domain = name.removesuffix(".ini")
        if name.startswith(".") or domain == name or not is_domain(domain):
            self._pass_over(name)
            return
        path = os.path.join(self._settings.vassals_dir, name)
        try:
            if self._stamps.get(name) == stamp_of(os.stat(path)):
                return
            draft = read_draft(path)
        except FileNotFoundError:
            if name in self._stamps or domain in self._refused:
                loop = asyncio.get_running_loop()
                loop.call_later(GRACE_SECONDS, self._gone, name, domain)
        except OSError as error:
            why = f"cannot read {name}: {error.strerror}"
            self._refuse(domain, RefusalReason.UNREADABLE, why)
        except BrokenIni as error:
            self._refuse(domain, RefusalReason.BAD_FILE, f"cannot read {name}: {error}")
        else:
            self._stamps[name] = draft.stamp
            self._read(domain, name, draft)

    def _pass_over(self, name: str) -> None:
        if name.startswith(".") or not name.endswith(".ini"):
            if name not in self._passed_over:
                self._passed_over.add(name)
                log.info("%r is not served: it is not named DOMAIN.ini", name)
        elif os.path.lexists(os.path.join(self._settings.vassals_dir, name)):
            self._refuse(
                name.removesuffix(".ini"),
                RefusalReason.BAD_NAME,
                f"cannot serve {name!r}: its name is no host name (a-z 0-9 _ . -, at most"
                f" {LONGEST_DOMAIN} characters); rename it",
            )
        else:
            self._refused.pop(name.removesuffix(".ini"), None)

    def _read(self, domain: str, name: str, draft: Draft) -> None:
        try:
            ini = parse(draft.data, name, self._real_folder)
            if ini.needs_uwsgi:
                self._tasks.create_task(self._read_by_asking(domain, name, ini, draft))
            else:
                self._serve(self._spec_of(domain, ini, draft.owner), draft.stamp)
        except BrokenIni as error:
            self._refuse(domain, f"{name}: {error}")

    async def _read_by_asking(self, domain: str, name: str, ini: Ini, draft: Draft) -> None:
        try:
            identity = identity_of(ini, draft.owner, self._accounts)
            asked = await self._resolver.resolve(ini, identity)
            if self._stamps.get(name) == draft.stamp:
                self._serve(self._spec_of(domain, asked, draft.owner), draft.stamp)
        except BrokenIni as error:
            if self._stamps.get(name) == draft.stamp:
                self._refuse(domain, f"{name}: {error}")
        except Exception:
            log.exception("cannot read %s: a fault in emperord", name)

    def _spec_of(self, domain: str, ini: Ini, owner: FileOwner) -> Spec:
        return spec_of(domain, ini, self._settings, owner, self._accounts)

    def _serve(self, spec: Spec, stamp: Stamp) -> None:
        """Admit or revise."""
        if self._is_closed:
            return
        if conflict := self._claims.conflict(spec):
            why = f"cannot serve {spec.ini}: {conflict}"
            self._refuse(spec.domain, RefusalReason.CONFLICT, why)
            return
        vassal = self._governor.vassals.get(spec.domain)
        try:
            if vassal is None and len(self._governor.vassals) >= self._most:
                self._leave_out(spec)
                return
            if vassal is None:
                self._governor.admit(spec, stamp)
                if self._announces:
                    log.info(
                        "%s: listening on %s", spec.domain, spec.socket, extra=about(spec.domain)
                    )
            elif vassal.spec.socket != spec.socket:
                # uWSGI knows a socket by the letters of its path, so this needs another listener.
                self._leave(vassal.spec, "its socket is spelled otherwise now")
                return
            elif not _is_served(vassal, spec, stamp):
                self._governor.revise(spec, stamp)
        except CannotListen as error:
            why = f"cannot serve {spec.ini}: {error}"
            refusal = Refusal(spec.domain, spec.ini, RefusalReason.CANNOT_LISTEN, why)
            if self._refused.get(spec.domain) != refusal:
                # An app of a daemon that was killed holds its socket for two seconds more.
                loop = asyncio.get_running_loop()
                loop.call_later(RETRY_SECONDS, self._look_again, [spec.ini])
            self._refuse(spec.domain, RefusalReason.CANNOT_LISTEN, why)
            return
        self._claims.take(spec)
        if self._refused.pop(spec.domain, None):
            log.info("%s is served again", spec.ini, extra=about(spec.domain))

    def _leave_out(self, spec: Spec) -> None:
        """Refuse it without a line of its own: there may be thousands."""
        why = f"cannot serve {spec.ini}: {self._full}"
        self._refused[spec.domain] = Refusal(
            spec.domain, spec.ini, RefusalReason.TOO_MANY_VASSALS, why
        )
        if self._announces and not self._left_out:
            self._tell_who_is_left_out()

    def _tell_who_is_left_out(self) -> None:
        before = self._left_out
        self._left_out = sum(
            refusal.reason is RefusalReason.TOO_MANY_VASSALS for refusal in self._refused.values()
        )
        if self._left_out > before:
            there_are = len(self._governor.vassals) + self._left_out
            log.warning(
                "%d of %d inis are not served: %s to %d or more",
                self._left_out, there_are, self._full, limit_for(there_are),
            )  # fmt: skip

    def _refuse(self, domain: str, reason: RefusalReason, why: str) -> None:
        vassal = self._governor.vassals.get(domain)
        if vassal is None or vassal.state is State.REMOVED:
            refusal = Refusal(domain, f"{domain}.ini", reason, why)
            if self._refused.get(domain) != refusal:
                log.warning("%s", why, extra=about(domain))
            self._refused[domain] = refusal
        elif vassal.ini_error != why:
            log.warning("%s; the version before it stays in service", why, extra=about(domain))
            self._governor.complain(domain, why)

    def _gone(self, name: str, domain: str) -> None:
        if os.path.exists(os.path.join(self._settings.vassals_dir, name)):
            self.look(name)
            return
        self._stamps.pop(name, None)
        if self._refused.pop(domain, None):
            log.info("%s is gone", name, extra=about(domain))
        vassal = self._governor.vassals.get(domain)
        if vassal is not None and vassal.state is not State.REMOVED:
            self._leave(vassal.spec, "its ini is gone")

    def _leave(self, spec: Spec, why: str) -> None:
        self._release_when_gone(spec)
        self._governor.dismiss(spec.domain, why)

    def _release_when_gone(self, spec: Spec) -> None:
        """Let those take over that this vassal stood in the way of."""

        def changed() -> None:
            vassal = self._governor.vassals.get(spec.domain)
            if vassal is None:
                self._claims.release(spec.ini)
                self._look_again([spec.ini, *self._unhappy()])
            elif vassal.state is State.REMOVED:
                return
            self._governor.subscribers.remove(spec.domain, changed)

        self._governor.subscribers.add(spec.domain, changed)

    def _look_again(self, names: Collection[str]) -> None:
        for name in names:
            self._stamps.pop(name, None)
            self.look(name)


def _is_served(vassal: Vassal, spec: Spec, stamp: Stamp) -> bool:
    """Whether the ini was only read again, and nothing in it or of it has changed."""
    is_happy = vassal.state is not State.REMOVED and vassal.ini_error is None
    return is_happy and (vassal.spec, vassal.stamp) == (spec, stamp)
