"""The folder of inis as a source of vassals: reads the inis that have changed."""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from emperor.linux.stamps import stamp_of
from emperor.linux.trust import open_to_others
from emperor.model.daemon_record import Outdated
from emperor.model.definition import BrokenIni, Definition, FileOwner
from emperor.model.domain import is_domain
from emperor.model.good_ini import GoodIni
from emperor.model.ports import PendingSpec, Reader
from emperor.model.reading_budget import ReadingBudget
from emperor.model.refusal import Refusal, RefusalReason
from emperor.model.settings import Settings
from emperor.model.spec import Spec, Stamp
from emperor.sources.aliases import Aliases
from emperor.sources.claim_holders import Note
from emperor.sources.files import IniFile, is_draft, misnamed, open_folder, owner_of, read_ini
from emperor.sources.good_versions import GoodVersions, Keep
from emperor.sources.intake import Intake
from emperor.supervisor.governor import Governor
from emperor.supervisor.slices import Backlog, slices

log = logging.getLogger("emperord.folder")

# Editors write a new file and rename it, or rename the old file and write a new one. An ini that is
# back within this time was never gone.
GRACE_SECONDS = 0.2
# uWSGI may have to read holders of a conflict. Inis on which it hangs delay the others, and a stop,
# by no more than this.
_WINNERS_SECONDS = 10.0
# A disk that hangs delays a stop by no more than this.
_SAVE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Notes:
    """What later daemons are told: which inis won a conflict, and the good version of each."""

    claim_holders: Note | None = None
    good_inis: Keep | None = None


NO_NOTES = Notes()


class VassalFolder:
    """Has `reader` make specs of the inis, and passes them on to the governor."""

    def __init__(
        self,
        settings: Settings,
        governor: Governor,
        reader: Reader,
        tasks: asyncio.TaskGroup,
        notes: Notes = NO_NOTES,
    ) -> None:
        self._path = str(settings.vassals_dir)
        self._real_path = os.path.realpath(self._path)
        self._reader = reader
        self._tasks = tasks
        self._governor = governor
        self._intake = Intake(governor, self.read_anew, notes.claim_holders)
        self._good_versions = GoodVersions(notes.good_inis)
        # The reading of each file that takes time.
        self._pending: dict[str, asyncio.Task[None]] = {}
        # None: the ini is known, and has to be read again.
        self._stamps: dict[str, Stamp | None] = {}
        self._aliases = Aliases()
        self._ignored: set[str] = set()
        # The files that were read with other settings, and whether that is a matter of settings
        # that a spec takes as they are.
        self._outdated: set[str] = set()
        self._follows = False
        # Until when an ini that was found missing may come back, in seconds of the loop.
        self._missing: dict[str, float] = {}
        self._budget = ReadingBudget()
        self._is_scanning = False
        # What others can change, and so the folder.
        self._open_place: str | None = None
        self._backlog: Backlog[str] = Backlog(self._update_each)
        # The aliases that a registry gives to a domain.
        self.grants: Callable[[str], frozenset[str]] = lambda _: frozenset()

    def tell_changes(
        self, on_change: Callable[[str], None], on_judged: Callable[[str], None]
    ) -> None:
        """Call `on_change`, from now on, with each domain whose ini comes or changes, and
        `on_judged` with each one whose ini was served or refused, or is gone."""
        self._intake.on_change, self._intake.on_judged = on_change, on_judged

    @property
    def refused(self) -> Mapping[str, Refusal]:
        """The inis that are not served, by their names without the suffix."""
        return self._intake.refused

    def has(self, domain: str) -> bool:
        """Whether there is an ini of that domain, served or not yet: uWSGI may have to read it."""
        return f"{domain}.ini" in self._stamps

    def is_refused(self, domain: str) -> bool:
        """Whether the ini of that domain is not served."""
        return domain in self._intake.refused

    def with_alias(self, host: str) -> str | None:
        """The domain of an ini that names `host` as an alias, served or not; None: no ini does."""
        file = self._aliases.file_with(host)
        return None if file is None else file.removesuffix(".ini")

    def resume(self, outdated: Outdated) -> None:
        """Go on with the vassals that the governor restored. An ini that has not changed is read
        again only where that is `outdated` which an earlier daemon has made of it."""
        self._stamps = dict(self._intake.resume())
        for vassal in self._governor.vassals:
            if named := (*vassal.spec.aliases, *vassal.spec.taken_aliases):
                self._aliases.note(vassal.spec.ini, named)
        if outdated is not Outdated.NOTHING:
            self._outdated = set(self._stamps)
        self._follows = outdated is Outdated.TAKEN

    def outdate(self) -> None:
        """Let the next rescan read all inis again, since what they mean has changed."""
        self._outdated = set(self._stamps)
        self._follows = False

    async def read_unknown(self) -> None:
        """Read the inis that the governor has not restored."""
        with suppress(OSError):  # the rescan tells of it
            await self._update_all(sorted(self._listing() - self._stamps.keys()))

    async def rescan(self) -> None:
        """Read the inis that have changed, and dismiss the vassals whose inis are gone."""
        try:
            present = self._listing()
        except OSError as error:
            log.warning("cannot read %s: %s", self._path, error.strerror)
            return
        if self._is_open():
            return
        unserved = self._intake.unserved()
        for file in unserved:
            # The cause may lie outside of the ini, a permission for example.
            self._stamps.pop(file, None)
        self._ignored &= present
        files = sorted({*present, *self._stamps, *unserved})
        self._is_scanning = True
        try:
            await self._update_all(files)
        finally:
            self._is_scanning = False
        self._budget.forget_full(asyncio.get_running_loop().time())
        self._intake.end_scan()
        self._good_versions.drop()

    async def _update_all(self, files: Collection[str]) -> None:
        holders = [file for file in self._intake.earlier_claim_holders if file in files]
        self._update_each(iter(holders))
        if self._pending:
            await asyncio.wait(self._pending.values(), timeout=_WINNERS_SECONDS)
        async for part in slices(files):
            self._update_each(part)

    def _listing(self) -> set[str]:
        self._real_path = os.path.realpath(self._path)
        return set(os.listdir(self._real_path))

    def close(self) -> Awaitable[None]:
        """Admit and revise nothing from now on, since the daemon stops. Await the result for the
        good versions to be kept for the next daemon."""
        self._intake.close()
        saving = self._good_versions.save(self._governor.vassals)
        return asyncio.to_thread(saving.join, _SAVE_SECONDS)

    def changed(self, files: Iterable[str]) -> None:
        """Update these files soon. An administrator may change thousands at once."""
        self._backlog.add(files)

    def read_now(self, file: str) -> None:
        """Update this file, which is whole, before all others that wait."""
        self._update_each(iter([file]))

    def _is_open(self) -> bool:
        """Whether others can change the folder, and so swap an ini between two looks at it."""
        try:
            place = open_to_others(self._path)
        except OSError:
            return False
        if place is not None and place != self._open_place:
            log.error("%s; until then, changes there are not read", open_folder(self._path, place))
        self._open_place = place
        return place is not None

    def _update_each(self, files: Iterator[str]) -> None:
        # When the folder is closed again, a rescan finds what has changed.
        if self._is_open():
            return
        with self._intake.batch():
            for file in files:
                self.update(file)
        if not self._backlog:
            # The records of thousands of inis that are gone may have to be dropped.
            self._governor.checkpoint.tidy_soon()

    def update(self, file: str) -> None:
        """Compare one file of the folder with what is in service, and act on the difference."""
        if self._intake.is_closed:
            return
        try:
            self._update(file)
        except Exception:
            # A fault of ours in one ini must not end the service of all the others.
            self._intake.note_fault(file, owner_of(f"{self._path}/{file}"))

    def _update(self, file: str) -> None:
        domain = file.removesuffix(".ini")
        if file not in self._stamps and (domain == file or not is_domain(domain)):
            self._update_misnamed(file)
            return
        path = f"{self._path}/{file}"
        try:
            seen = os.stat(path)
            stamp = stamp_of(seen)
            self._missing.pop(file, None)
            if self._stamps.get(file) == stamp and (
                file not in self._outdated or self._follow(domain, file, stamp)
            ):
                return
            if self._must_rest(file, stamp):
                return
            earlier = self._good_versions.take(file, stamp)
            if earlier and earlier.stamp != stamp:
                self._serve_earlier(domain, earlier)
            ini = read_ini(path, seen)
            self._outdated.discard(file)
        except FileNotFoundError:
            # A rescan forgets the stamp of an ini that is broken, while an older version serves.
            is_served = self._governor.vassals.get(domain) is not None
            if file in self._stamps or domain in self.refused or is_served:
                self._update_missing(domain, file)
        except OSError as error:
            self._refuse_unreadable(file, error)
        except BrokenIni as error:
            message = f"cannot read {file}: {error}"
            self._refuse(file, RefusalReason.BAD_FILE, message, stamp.uid)
        else:
            self._stamps[file] = ini.stamp
            is_good = earlier is not None and earlier.stamp == ini.stamp
            began = None if self._is_scanning else time.thread_time()
            self._read(domain, file, ini, is_good=is_good)
            if began is not None:
                self._spend(file, time.thread_time() - began)

    def _follow(self, domain: str, file: str, stamp: Stamp) -> bool:
        """Have a vassal follow the settings by the text that was kept of its ini. Returns whether
        that will do."""
        vassal = self._governor.vassals.get(domain) if self._follows else None
        if vassal is None or not vassal.is_unquestioned or vassal.stamp != stamp:
            return False
        spec = self._reader.follow(vassal.text, vassal.spec)
        if spec is None:
            return False
        self._outdated.discard(file)
        self._intake.follow(vassal, spec, stamp)
        return True

    def _definition(self, domain: str, file: str, text: bytes, stamp: Stamp) -> Definition:
        owner, granted = FileOwner(stamp.uid, stamp.gid), self.grants(domain)
        return Definition(domain, file, self._real_path, text, owner, granted)

    def _must_rest(self, file: str, stamp: Stamp) -> bool:
        """Whether a file was read so often, or others of its owner's, that it has to wait. It is
        updated after that. Only root replaces a file, or gives it to another owner."""
        if file not in self._budget:
            return False
        known, loop = self._stamps.get(file), asyncio.get_running_loop()
        by_root = known is not None and known.is_of_another_file(stamp)
        wait = self._budget.turn(file, None if by_root else stamp.uid, loop.time())
        if wait:
            loop.call_later(wait, self._end_rest, file)
        return wait != 0

    def _end_rest(self, file: str) -> None:
        self._budget.end(file)
        self.changed([file])

    def _spend(self, file: str, seconds: float) -> None:
        # A scan of all files is rare, and must not make the daemon remember each of them.
        if not self._is_scanning:
            self._budget.spend(file, seconds, asyncio.get_running_loop().time())

    def _update_misnamed(self, file: str) -> None:
        """A file that is not named DOMAIN.ini."""
        if file.startswith(".") or not file.endswith(".ini"):
            if file not in self._ignored and not is_draft(file):
                self._ignored.add(file)
                log.info("%r is not served: it is not named DOMAIN.ini", file)
        elif os.path.lexists(os.path.join(self._path, file)):
            self._refuse(file, RefusalReason.BAD_NAME, misnamed(file))
        else:
            self._intake.remove(file.removesuffix(".ini"), file)

    def _serve_earlier(self, domain: str, earlier: GoodIni) -> None:
        """Serve the last good version of an ini before that of its file."""
        if self._governor.vassals.get(domain) is not None:
            return
        definition = self._definition(domain, earlier.file, earlier.text, earlier.stamp)
        with suppress(BrokenIni):  # by other settings
            spec = self._reader.read(definition)
            # To ask uWSGI takes time, in which the file is read.
            if isinstance(spec, Spec):
                self._intake.serve(spec, earlier.stamp, earlier.text, is_good=True)

    def _read(self, domain: str, file: str, ini: IniFile, *, is_good: bool = False) -> None:
        definition = self._definition(domain, file, ini.data, ini.stamp)
        for alias in self._aliases.note(file, self._reader.aliases(definition)):
            self._governor.refuse_wildcard(alias)
        try:
            spec = self._reader.read(definition)
        except (BrokenIni, OSError) as error:
            self._refuse_unread(file, ini, error)
            return
        if isinstance(spec, Spec):
            self._intake.serve(spec, ini.stamp, ini.data, is_good=is_good)
        elif pending := self._pending.get(file):
            # A tenant may change it a thousand times a second. It is read again after this one.
            self._stamps[file] = None
            pending.cancel()
        else:
            task = self._tasks.create_task(self._wait_for(spec, file, ini, is_good=is_good))
            self._pending[file] = task
            task.add_done_callback(lambda _: self._end_pending(file))

    def _end_pending(self, file: str) -> None:
        del self._pending[file]
        if file in self._stamps and self._stamps[file] is None:
            self.changed([file])

    async def _wait_for(
        self, pending: PendingSpec, file: str, ini: IniFile, *, is_good: bool
    ) -> None:
        """Serve a spec that takes time, unless the ini changes meanwhile."""
        began = asyncio.get_running_loop().time()
        try:
            try:
                spec = await pending()
            except (BrokenIni, OSError) as error:
                if self._stamps.get(file) == ini.stamp:
                    self._refuse_unread(file, ini, error)
            else:
                if self._stamps.get(file) == ini.stamp:
                    self._intake.serve(spec, ini.stamp, ini.data, is_good=is_good)
        except Exception:
            self._intake.note_fault(file, owner_of(f"{self._path}/{file}"))
        finally:
            self._spend(file, asyncio.get_running_loop().time() - began)

    def _refuse_unread(self, file: str, ini: IniFile, error: BrokenIni | OSError) -> None:
        if isinstance(error, OSError):  # no descriptor to look for its user, for example
            self._refuse_unreadable(file, error)
            return
        message = f"cannot serve {file}: {error}"
        self._refuse(file, RefusalReason.BROKEN_INI, message, ini.owner.uid)

    def _refuse_unreadable(self, file: str, error: OSError) -> None:
        message = f"cannot read {file}: {error.strerror or error}"
        self._refuse(file, RefusalReason.UNREADABLE, message, owner_of(f"{self._path}/{file}"))

    def _refuse(
        self, file: str, reason: RefusalReason, message: str, owner: int | None = None
    ) -> None:
        self._intake.refuse(Refusal(file.removesuffix(".ini"), file, reason, message, owner))

    def _update_missing(self, domain: str, file: str) -> None:
        """A file that was there before. It is gone if it is missing at the end of its time too."""
        loop = asyncio.get_running_loop()
        end = self._missing.setdefault(file, loop.time() + GRACE_SECONDS)
        if loop.time() < end:
            loop.call_at(end, self.changed, [file])
            return
        del self._missing[file]
        if pending := self._pending.get(file):
            pending.cancel()
        self._stamps.pop(file, None)
        self._aliases.note(file, ())
        self._intake.remove(domain, file)

    def read_anew(self, files: Collection[str]) -> None:
        """Update these files soon, also those that have not changed."""
        for file in files:
            self._stamps.pop(file, None)
        self.changed(files)
