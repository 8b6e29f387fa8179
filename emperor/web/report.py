"""Turns the governor's records into what the control API tells (model/status.py)."""

import asyncio
import os
import uuid
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from emperor import __version__
from emperor.bases.base_process import BaseState
from emperor.bases.bases import Bases
from emperor.bases.request import name_of
from emperor.linux.log_owner import read_end
from emperor.linux.usage import Usage, proportional_memory, resident_peaks, usage
from emperor.model.admission import Admission
from emperor.model.authority import Caller
from emperor.model.bases_report import Base, BasesReport, LeftOut, WithoutBase
from emperor.model.claims import told_of_aliases
from emperor.model.history import wake_of
from emperor.model.lifecycle import SERVING, State
from emperor.model.ports import Listener, Process, QueueLength
from emperor.model.registry_status import MembershipStatus
from emperor.model.settings import Settings, spelled
from emperor.model.spec import Spec, Stamp
from emperor.model.status import (
    AppHits,
    EmperorStatus,
    LimitHits,
    Refused,
    Report,
    SettingInEffect,
    SettingsInEffect,
    Stop,
    VassalDetail,
    VassalStatus,
    Wake,
)
from emperor.pull.registry import Registry
from emperor.supervisor.governor import Governor
from emperor.supervisor.records import Vassal
from emperor.supervisor.slices import slices
from emperor.supervisor.subscribers import Subscribers
from emperor.supervisor.versions import newest, why_fallen_back
from emperor.web.hosts import Hosts

_LOG_TAIL_LINES = 20
_LOG_TAIL_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Measured:
    """What is not in the records: memory and CPU of a process group, the most memory until now, and
    connections in a queue."""

    usage: Usage | None
    peak: int | None
    queued: int | None


_NOTHING = Measured(None, None, None)


@dataclass(frozen=True, slots=True)
class ReporterSources:
    """Where a reporter asks for what is in no record of a vassal. `measure` tells the length of a
    listener's queue. `limit_hits` tells what those tenants have reached that exist for a caller,
    `yielding` which of them yield the CPU now, and `hits_of` what the processes of an app have
    reached. `membership` is None for a machine without a place in a fleet."""

    measure: Callable[[Listener], Awaitable[QueueLength]]
    admission: Admission
    limit_hits: Callable[[Caller], tuple[LimitHits, ...]]
    yielding: Callable[[Caller], tuple[str, ...]]
    hits_of: Callable[[Spec], tuple[AppHits, ...]]
    bases: Bases
    registry: Registry
    membership: Callable[[], MembershipStatus] | None


class Reporter:
    """Reads the records, and measures what is asked for at the moment it is asked for."""

    def __init__(
        self,
        settings: Settings,
        governor: Governor,
        hosts: Hosts,
        sources: ReporterSources,
    ) -> None:
        self.settings = settings
        self._governor = governor
        self.hosts = hosts
        self.sources = sources
        self._started = governor.now()
        self._instance_id = uuid.uuid4().hex
        # Of those who want to know when the app of a domain has printed.
        self.printed = Subscribers()

    def emperor(self, draining_since: datetime | None) -> EmperorStatus:
        """The daemon itself."""
        return EmperorStatus(
            pid=os.getpid(),
            version=__version__,
            instance_id=self._instance_id,
            started_at=self._wall(self._started),
            activation=self.settings.activation,
            draining_since=draining_since,
            held=self.sources.admission.total,
            turned_away=self.sources.admission.turned_away,
            registry=self.sources.registry.status(),
            membership=self.sources.membership() if self.sources.membership else None,
        )

    def emperor_for(
        self, caller: Caller, rows: Iterable[VassalStatus], draining_since: datetime | None
    ) -> EmperorStatus:
        """The status of the daemon for that caller, whose vassals have these rows."""
        emperor = replace(self.emperor(draining_since), yielding=self.sources.yielding(caller))
        if caller.is_administrator:
            return emperor
        held = sum(row.held for row in rows)
        ours = replace(emperor, registry=None, membership=None)
        return replace(ours, draining_since=None, held=held, turned_away=0)

    def settings_in_effect(self) -> SettingsInEffect:
        """The settings of the daemon."""
        spelling = spelled(self.settings)
        return SettingsInEffect(tuple(SettingInEffect(*item) for item in spelling.items()))

    @property
    def most_in_metrics(self) -> int:
        """How many vassals have metrics of their own."""
        return self.settings.metrics_vassals

    async def bases_report(self) -> BasesReport:
        """The preloaded interpreters."""
        bases = self.sources.bases
        # The loop changes what there is while a thread measures.
        states = bases.states()
        without_base = tuple(
            WithoutBase(home.python, name_of(home.user) or None, why)
            for home, why in bases.refused.items()
        )
        memory = await asyncio.to_thread(lambda: [proportional_memory(it.pids) for it in states])
        return BasesReport(
            bases=tuple(map(self._base, states, memory)),
            why_none=bases.why_none or None,
            without_base=without_base,
            why_standard=bases.why_standard or None,
        )

    def _base(self, state: BaseState, memory: int | None) -> Base:
        return Base(
            python=state.python,
            home=state.home or None,
            user=state.user or None,
            pid=state.pid,
            made_at=self._wall(state.made),
            spares=len(state.spares),
            apps=state.forks,
            pss_bytes=memory,
            modules=state.modules,
            left_out=tuple(LeftOut(*item) for item in sorted(state.left_out.items())),
        )

    async def report(self, draining_since: datetime | None, caller: Caller) -> Report:
        """Everything that exists for the caller, vassals by name."""
        vassals = sorted(self.visible(caller), key=lambda vassal: vassal.spec.domain)
        rows = await self.rows(vassals, caller)
        return Report(
            emperor=self.emperor_for(caller, rows, draining_since),
            vassals=tuple(rows),
            refused=self.refused(caller),
            limit_hits=self.sources.limit_hits(caller),
        )

    async def rows(self, vassals: Collection[Vassal], caller: Caller) -> list[VassalStatus]:
        """A row for each of these vassals, without those that go meanwhile."""
        measured = await self._measure_all(vassals)
        positions = self._positions(caller)
        rows: list[VassalStatus] = []
        async for part in slices(vassals):
            rows += (
                self._status(
                    vassal, measured.get(vassal.spec.domain, _NOTHING), positions.get(vassal)
                )
                for vassal in part
                # It may have gone in an earlier turn of the loop.
                if self._governor.vassals.get(vassal.spec.domain) is vassal
            )
        return rows

    def refused(self, caller: Caller) -> tuple[Refused, ...]:
        """The inis that are not served, as far as they exist for the caller."""
        return self.some_refused(self.names_of_refused(caller))

    def names_of_refused(self, caller: Caller) -> list[str]:
        """The domains whose inis are refused, in order, as far as the caller may see them."""
        refused = self.hosts.refused
        return sorted(name for name in refused if caller.sees(refused[name].owner))

    def some_refused(self, names: Iterable[str]) -> tuple[Refused, ...]:
        """What there is to say of these."""
        found = (self.hosts.refused[name] for name in names)
        return tuple(Refused(each.file, each.domain, each.reason, each.message) for each in found)

    def visible(self, caller: Caller) -> Iterable[Vassal]:
        """The vassals that exist for the caller."""
        vassals = self._governor.vassals
        if caller.is_administrator:
            return vassals
        return vassals.owned_by(caller.uid) if caller.sees(caller.uid) else ()

    def _positions(self, caller: Caller) -> dict[Vassal, int]:
        """The places in the queue of apps that wait to boot: for a tenant, among its own ones."""
        positions = self._governor.boot_positions()
        if caller.is_administrator:
            return positions
        own = (vassal for vassal in positions if caller.sees(vassal.spec.owner))
        return {
            vassal: place for place, vassal in enumerate(sorted(own, key=positions.__getitem__), 1)
        }

    async def detail(self, vassal: Vassal, caller: Caller) -> VassalDetail:
        """One vassal with its history."""
        spec = vassal.spec
        measured = await self._measure_all([vassal])
        position = self._positions(caller).get(vassal)
        status = self._status(vassal, measured.get(spec.domain, _NOTHING), position)
        share = self._governor.boot_share(vassal) if position else None
        log = self.log_of(vassal)
        reader = None if caller.is_administrator else caller.uid
        is_told = bool(vassal.last_error or _failing_again(vassal))
        in_effect = vassal.lead.stamp if vassal.lead else vassal.stamp
        last_stop = None
        if vassal.last_stop:
            last_stop = Stop(self._wall(vassal.last_stop.at), vassal.last_stop.why)
        return VassalDetail(
            status=status,
            ini=os.path.join(self.settings.vassals_dir, spec.ini),
            activation=spec.activation,
            aliases=spec.aliases,
            predecessor_pid=self._predecessor_pid(vassal),
            ini_error=_ini_error(vassal),
            ini_written_at=_written(in_effect),
            newer_ini_written_at=_written(vassal.stamp) if vassal.stamp != in_effect else None,
            failed_ini_written_at=_written(vassal.failed.version.stamp) if vassal.failed else None,
            wake=self._wake(vassal),
            last_stop=last_stop,
            log=log,
            log_tail=tail(log, reader) if is_told else (),
            places_taken=share.taken if share else None,
            places=share.most if share else None,
            started=(vassal.lead.process.ref.way or None) if vassal.lead else None,
            not_followed=self.sources.registry.not_followed(spec.domain),
            limit_hits=self.sources.hits_of(spec),
            slow_imports=vassal.slow_imports,
        )

    def log_of(self, vassal: Vassal) -> str:
        """The path of its log."""
        if vassal.lead:  # it writes on where it was started, whatever the settings say by now
            return vassal.lead.process.ref.log
        return os.path.join(self.settings.log_dir, f"{vassal.spec.domain}.log")

    def _wall(self, moment: float) -> datetime:
        """A monotonic moment as the time of day."""
        return self._governor.wall(moment)

    def _predecessor_pid(self, vassal: Vassal) -> int | None:
        if vassal.second is None or vassal.state is State.RELOADING:
            return None
        return vassal.second.process.pid

    async def _measure_all(self, vassals: Collection[Vassal]) -> dict[str, Measured]:
        alive = [vassal for vassal in vassals if vassal.children]
        processes = [child.process for vassal in alive for child in vassal.children]
        used, peaks = await asyncio.to_thread(_memory_of, processes) if processes else ({}, {})
        return {
            vassal.spec.domain: Measured(
                usage=_sum([used[c.process.pid] for c in vassal.children if c.process.pid in used]),
                peak=max((peaks.get(c.process.pid, 0) for c in vassal.children), default=0) or None,
                queued=(await self.sources.measure(vassal.listener)).pending,
            )
            for vassal in alive
            # It may have gone, and closed its listener, while another was measured.
            if self._governor.vassals.get(vassal.spec.domain) is vassal
        }

    def last_hit(self, vassal: Vassal) -> datetime | None:
        """When the vassal was last used; None: not yet."""
        seen = None if vassal.last_hit is None else self._wall(vassal.last_hit)
        return _latest(seen, vassal.listener.last_connect())

    def _status(self, vassal: Vassal, measured: Measured, position: int | None) -> VassalStatus:
        spec, now, wall = vassal.spec, self._governor.now(), self._wall
        last_hit = self.last_hit(vassal)
        serving = vassal.lead if vassal.state in SERVING else None
        reap_at = None
        if serving and serving.boot.accepting is not None and serving.spec.idle:
            awake_since = _latest(last_hit, wall(serving.boot.accepting).timestamp())
            reap_at = awake_since and awake_since + timedelta(seconds=serving.spec.idle)
        return VassalStatus(
            name=spec.domain,
            state=vassal.reported_state,
            state_since=wall(vassal.since),
            pid=vassal.lead.process.pid if vassal.lead else None,
            socket=spec.socket,
            idle_seconds=spec.idle,
            last_hit_at=last_hit,
            reap_at=reap_at,
            starts=vassal.starts,
            consecutive_failures=vassal.failures(now),
            retry_at=wall(vassal.retry_at) if vassal.retry_at is not None else None,
            last_error=last_error(vassal),
            rss_bytes=measured.usage.rss_bytes if measured.usage else None,
            cpu_seconds=measured.usage.cpu_seconds if measured.usage else None,
            held=self.sources.admission.held(spec.domain),
            queued=measured.queued,
            boot_position=position,
            maintenance_since=self._governor.maintenance.since(spec.domain),
            uid=spec.owner,
            memory_peak_bytes=measured.peak,
            runs_elsewhere=self._governor.permits.why_not(spec.domain),
            registry_serial=self.sources.registry.serial_of(vassal),
        )

    def _wake(self, vassal: Vassal) -> Wake | None:
        boot = None if vassal.is_queued_to_start else vassal.last_boot
        cause = boot.cause if boot else vassal.queued_for
        if cause is None:
            return None
        return wake_of(cause, boot, self._wall(cause.at))


def _memory_of(processes: Collection[Process]) -> tuple[dict[int, Usage], dict[int, int]]:
    """The usage of each of these processes, and the most memory that it has held, by its pid. It
    takes long, so call it in a thread."""
    peaks = {each.pid: peak for each in processes if (peak := each.memory_peak()) is not None}
    others = {each.pid for each in processes} - peaks.keys()
    found = resident_peaks(others) if others else {}
    return usage({each.pid for each in processes}), {**peaks, **found}


def tail(path: str, reader: int | None) -> tuple[str, ...]:
    """The last lines of a log, none where that user may not read it; None: an administrator."""
    part = read_end(path, _LOG_TAIL_LINES, reader, _LOG_TAIL_BYTES)
    return part.lines[-_LOG_TAIL_LINES:] if part else ()


def _ini_error(vassal: Vassal) -> str | None:
    """Why the newest version of the ini is not in effect."""
    return vassal.ini_error or why_fallen_back(vassal)


def last_error(vassal: Vassal) -> str | None:
    """The error that matters most now. Why an app is down counts for more than why the newest
    version of its ini is not in effect."""
    ini_error, aliases = _ini_error(vassal), told_of_aliases(newest(vassal)[0])
    if vassal.state in SERVING:
        limit, error = _limited(vassal), vassal.last_error
        if limit and vassal.last_error_is_limit:
            error = limit  # the same one, or a later one
        return ini_error or error or limit or _failing_again(vassal) or aliases
    return vassal.last_error or ini_error or _limited(vassal) or aliases


def _failing_again(vassal: Vassal) -> str | None:
    """Which process beside the workers cannot run. An app that may run twice at the same moment has
    none, so its log is not read for each report."""
    if vassal.lead is None or vassal.lead.spec.overlaps:
        return None
    return vassal.lead.process.why_failing_again() or None


def _limited(vassal: Vassal) -> str | None:
    """Which limit a process of it has reached last."""
    reached = (child.process.why_limited() for child in vassal.children)
    return next(filter(None, reached), None)


def _written(stamp: Stamp | None) -> datetime | None:
    return None if stamp is None else datetime.fromtimestamp(stamp.mtime_ns / 1e9, UTC)


def _latest(seen: datetime | None, connected: float | None) -> datetime | None:
    """The later of what the daemon saw and what the kernel noted."""
    noted = None if connected is None else datetime.fromtimestamp(connected, UTC)
    return max((moment for moment in (seen, noted) if moment), default=None)


def _sum(parts: list[Usage]) -> Usage | None:
    if not parts:
        return None
    return Usage(
        rss_bytes=sum(part.rss_bytes for part in parts),
        cpu_seconds=round(sum(part.cpu_seconds for part in parts), 2),
    )
