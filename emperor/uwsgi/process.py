"""A uWSGI that serves a vassal: its pipe, its process, and how it is told to stop."""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from emperor.guarded import guarded
from emperor.linux.append_only import release, set_append_only
from emperor.linux.groups import ControlGroup
from emperor.linux.log_owner import open_log_of
from emperor.linux.orphans import Family, Known, Mark, OrphanHunt, descendants
from emperor.linux.pidfile import PidChange, correct_pidfiles
from emperor.linux.proc import parent_of
from emperor.linux.processes import LedProcess
from emperor.model.admission import Bursts
from emperor.model.limit_hits import Hit, deadliest
from emperor.model.log_fields import about
from emperor.model.ports import CannotLaunch, Exit, Message, ProcessEvents, WorkerDeath
from emperor.model.slow_imports import SlowImport
from emperor.model.snapshot import NO_LOG, ProcessRef
from emperor.model.spec import Spec
from emperor.uwsgi.command import FIRST_INHERITED_FD, PIPE_FD
from emperor.uwsgi.copies import remove_copy
from emperor.uwsgi.crash_loops import failing_again, workers_die_at_start
from emperor.uwsgi.exits import (
    Circumstances,
    Killed,
    explain_exit,
    explain_replacement,
    has_no_workers,
)
from emperor.uwsgi.graceful_stop import GracefulStop
from emperor.uwsgi.inheritance import NOTHING, Inheritance, inherit
from emperor.uwsgi.options import uwsgi_options
from emperor.uwsgi.pipe import Pipe
from emperor.uwsgi.slow_imports import ImportTimes

log = logging.getLogger("emperord.process")

# The end of the output that may explain an exit.
_OUTPUT_BYTES = 16384

# Spawns a process with these descriptors, and calls back after its exit.
Spawn = Callable[[Mapping[int, int], Callable[[Exit], None]], LedProcess]


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """What a dead process has left: the end of its output; which limit it has reached, in a
    sentence; and what it was importing, in words."""

    printed: str
    hit: str
    importing: str


NOTHING_LEFT = LeftBehind("", "", "")


@dataclass(frozen=True, slots=True)
class SpawnEvents:
    """The events of the process of one spawn."""

    spec: Spec
    generation: int
    events: ProcessEvents
    around: Circumstances

    def on_message(self, message: Message) -> None:
        """The process sent a byte."""
        self.events.on_message(self.spec.domain, self.generation, message)

    def on_exit(self, ended: Exit, left: LeftBehind, killed: Killed) -> None:
        """The process has exited."""
        # Without its exit the vassal would wait for that for ever.
        with guarded(log, f"explain the exit of {self.spec.domain}"):
            around = replace(self.around, hit=left.hit, importing=left.importing)
            ended = replace(ended, cause=explain_exit(ended, left.printed, around, killed))
        self.events.on_exit(self.spec.domain, self.generation, ended)


def mark_of(ref: ProcessRef) -> Mark:
    """The mark by which the processes of an app are recognised, wherever they have gone. The inode
    of the pipe is the number of the spawn, and the pipe itself is in every process that only
    forked."""
    return Mark(f"EMPERORD_SPAWN={ref.pipe_inode}", ref.pipe_inode, PIPE_FD)


class UwsgiProcess:
    """A uWSGI master with its pipe, before and after its spawn."""

    def __init__(
        self,
        pipe: Pipe,
        ref: ProcessRef,
        events: SpawnEvents,
        spawn: Spawn,
        family: Family,
    ) -> None:
        self._family = family
        self._reaper = os.getpid()
        self._left: list[Known] = []
        self._pipe = pipe
        self._ref = ref
        self._events = events
        self._spawn = spawn
        self._loop = family.loop
        self._process: LedProcess | None = None
        options = uwsgi_options(events.spec)
        self._stop = GracefulStop(
            ref,
            pipe,
            family.loop,
            can_pause=options.can_pause,
            may_be_dying=options.may_be_dying,
        )
        self._killed = Killed.NOT
        # The pid of another process of the app that runs.
        self.other: Callable[[], int | None] = lambda: None
        # All its processes; None where there are no control groups.
        self.group: ControlGroup | None = None
        # The sockets that it takes over, which nobody needs here once it has been spawned.
        self.inherited = NOTHING
        self._hit: Hit | None = None
        self.import_times = ImportTimes()
        pipe.on_end = self._workers_exited
        pipe.on_descriptors = self._sent_descriptors
        pipe.on_flood = self._floods
        self._bursts = Bursts()

    def measure_imports(self) -> None:
        """Find out which imports take the time of its start, which follows."""
        self.import_times.open()

    def start(self) -> None:
        """Spawn the master. Raises CannotLaunch, and then nothing is left open."""
        try:
            log_fd = self._open_log()
            try:
                fds = {1: log_fd, 2: log_fd, PIPE_FD: self._pipe.far_fd}
                self._process = self._spawn(fds, self._exited)
            finally:
                os.close(log_fd)
        except BaseException:
            self._pipe.close()
            remove_copy(self._ref.copy)
            self._release_log()
            self.import_times.close()
            if self.group is not None:
                self.group.close()
            raise
        finally:
            self.inherited.close()
        self._pipe.close_far()
        self._ref.pid = self._process.pid
        self._family.leaders.add(self.pid)
        if self.group is None:
            # The base that it was forked from may be an earlier daemon's.
            self._reaper = parent_of(self.pid) or self._reaper

    def inherit(self, spec: Spec) -> Inheritance:
        """What a new process by `spec` takes over from this one. Raises CannotLaunch."""
        pidfd = self._process.pidfd if self._process else None
        if pidfd is None:
            return NOTHING
        return inherit(spec, self.spec, self.pid, pidfd, FIRST_INHERITED_FD)

    def take_over(self, pidfd: int) -> None:
        """Go on with a master that an earlier daemon spawned."""
        self._process = LedProcess(self.pid, pidfd, self._loop, self._exited)
        self._family.leaders.add(self.pid)
        self._reaper = parent_of(self.pid) or self._reaper
        self._stop.go_on(self._process)

    def _open_log(self) -> int:
        """The log, or /dev/null: an app must start on a full disk too. Raises CannotLaunch."""
        try:
            fd = open_log_of(self._ref.log, self.spec.owner)
        except CannotLaunch as error:
            log.warning(
                "%s: %s; what it prints is lost",
                self.spec.domain, error, extra=about(self.spec.domain),
            )  # fmt: skip
            self._ref.log_begins = NO_LOG
            return _open_nothing()
        self._ref.log_begins = os.lseek(fd, 0, os.SEEK_END)
        if self.spec.owner:
            # Root's apps could unset it.
            set_append_only(fd)
        return fd

    @property
    def pid(self) -> int:
        """The master's pid and its group's id."""
        assert self._ref.pid is not None
        return self._ref.pid

    @property
    def is_running(self) -> bool:
        """Whether it was spawned and has not exited."""
        return self._process is not None and self._process.pidfd is not None

    @property
    def ref(self) -> ProcessRef:
        """What the next daemon knows the process by."""
        return self._ref

    @property
    def spec(self) -> Spec:
        """What it was spawned by."""
        return self._events.spec

    @property
    def fds(self) -> tuple[int, ...]:
        """The descriptors of its pipe and, while it runs, of its pidfd."""
        pidfd = self._process.pidfd if self._process else None
        return (self._pipe.fd,) if pidfd is None else (self._pipe.fd, pidfd)

    def stop(self) -> None:
        """Ask for a graceful stop."""
        if self._process is not None:
            self._left = [] if self.group else descendants(self.pid)
            self._stop.begin(self._process)

    def remind(self) -> None:
        """Repeat the order to stop for workers that may have missed it."""
        if self._process is not None:
            self._stop.remind(self._process)

    def kill(self) -> None:
        """SIGKILL all of its processes."""
        if self._process is not None:
            self._killed = Killed.UNTOLD if self._ref.stop_heard_by is None else Killed.TOLD
            self._process.kill()
            if self.group is not None:
                self.group.kill()

    def end_without_workers(self) -> None:
        """Kill it when its app is loaded and it has no workers, for which it would wait for ever.
        A command of the ini computes their number, so that nobody knows it before."""
        tell = self._pipe.on_message

        def on_message(message: Message) -> None:
            if message is Message.LOADED and has_no_workers(self._output_end()):
                self.kill()
            else:
                tell(message)

        self._pipe.on_message = on_message

    def worker_death(self) -> WorkerDeath | None:
        """The death of the last worker that the master has replaced; None where none died."""
        if hits := self._new_hits():
            self._hit = deadliest(hits)
            return WorkerDeath(str(self._hit), is_limit=True)
        why = explain_replacement(self._output_end())
        return WorkerDeath(why) if why else None

    def dies_at_start(self) -> bool:
        """Whether its workers, none of which has accepted yet, die again and again."""
        return workers_die_at_start(self._output_end())

    def why_failing_again(self) -> str:
        """Which of its mules, daemons and jobs cannot run, and why; empty where none is known."""
        return failing_again(self._output_end())

    def memory_peak(self) -> int | None:
        """The most memory that all of it has held at once; None where that is not known."""
        return self.group.memory_peak() if self.group else None

    def why_limited(self) -> str:
        """Which limit it has reached last, in a sentence; empty where it has reached none."""
        self._new_hits()
        return str(self._hit) if self._hit else ""

    def take_slow_imports(self, now: float) -> tuple[SlowImport, ...] | None:
        """What took the time of its start until `now`; None: that was not measured, or told."""
        found = self.import_times.taken(now)
        self.import_times.close()
        return found

    def _new_hits(self) -> list[Hit]:
        hits = self.group.take_hits() if self.group else []
        self._hit = hits[-1] if hits else self._hit
        return hits

    def _workers_exited(self) -> None:
        """All requests are finished. The vacuum of the master would delete the pidfile and the
        sockets of a successor; it does not run at a SIGKILL."""
        is_replaced = uwsgi_options(self.spec).vacuums and self.other() is not None
        if self._process is not None and is_replaced:
            self._process.kill()

    def _floods(self) -> None:
        if self._bursts.begins(self.spec.domain, self._loop.time()):
            log.warning(
                "%s: it sends bytes to emperord without end, which uWSGI never does; few of them"
                " are read",
                self.spec.domain, extra=about(self.spec.domain),
            )  # fmt: skip

    def _sent_descriptors(self) -> None:
        log.warning(
            "%s: killed, since it sends descriptors to emperord, which uWSGI never does",
            self.spec.domain, extra=about(self.spec.domain),
        )  # fmt: skip
        self.kill()

    def _correct_pidfiles(self) -> None:
        """A successor that failed has left its pid in the pidfile of the process that serves on."""
        paths, other = uwsgi_options(self.spec).pidfiles, self.other()
        if paths and other is not None:
            who = self.spec.identity
            uid, gid = (who.uid, who.gid) if who else (os.geteuid(), os.getegid())
            correct_pidfiles(paths, PidChange(self.pid, other, uid, gid))

    def _exited(self, ended: Exit) -> None:
        left = NOTHING_LEFT
        with guarded(log, f"clear up after {self.spec.domain}"):
            left = self._clear_up()
        with guarded(log, f"end what {self.spec.domain} has left"):
            self._end_what_is_left()
            self._release_log()
        self._events.on_exit(ended, left, self._killed)

    def _clear_up(self) -> LeftBehind:
        """Give up what the process alone had. Returns what it has left."""
        self._stop.cancel()
        self._pipe.close()
        remove_copy(self._ref.copy)
        self._family.leaders.discard(self.pid)
        self._correct_pidfiles()
        left = LeftBehind(self._output_end(), self.why_limited(), self.import_times.unfinished())
        self.import_times.close()
        return left

    def _release_log(self) -> None:
        """No process of the app writes to it any more, unless another one does."""
        if self.other() is None:
            release(self._ref.log)

    def _end_what_is_left(self) -> None:
        """End what has left the process group."""
        if self.group is None:
            who = self.spec.identity
            user = who.uid if who else os.geteuid()
            # Root's processes may become anybody's.
            hunt = OrphanHunt(self._family, mark_of(self._ref), self._reaper, user or None)
            hunt.end(self._left)
            return
        if left := self.group.left_by(self.pid):
            log.info(
                "%s: killed %d processes that the app has left", self.spec.domain, left,
                extra=about(self.spec.domain),
            )  # fmt: skip
        self.group.close()

    def _output_end(self) -> str:
        if self._ref.log_begins == NO_LOG:
            # What is there is of an earlier process.
            return ""
        try:
            with open(self._ref.log, "rb") as file:
                end = file.seek(0, os.SEEK_END)
                # If logrotate has cut the log meanwhile, all of it is of this process.
                begins = self._ref.log_begins if self._ref.log_begins <= end else 0
                file.seek(max(begins, end - _OUTPUT_BYTES))
                # Space that an app has reserved reads as zeros.
                return file.read(_OUTPUT_BYTES).strip(b"\0").decode(errors="replace")
        except OSError:
            return ""


def _open_nothing() -> int:
    """/dev/null, for writing. Raises CannotLaunch."""
    try:
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    except OSError as error:
        raise CannotLaunch(f"cannot open a log: {error.strerror}") from error
