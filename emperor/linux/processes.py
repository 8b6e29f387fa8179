"""Processes: posix_spawn, a group and session of their own, death by pidfd, children or not.

posix_spawn blocks the caller for 0.3 ms, also with 200 MB; Popen with a user takes 6 ms (measured).
With 10,000 descriptors the child needs 3 ms more to close them, unless it is spawned in a thread
that has few (linux/spawn_thread). posix_spawn has no cwd: a child starts in the folder that the
daemon stands in. A process that a child moves into a session of its own is in another group, and
`kill` misses it.

A daemon that took over after a crash is not the parent: init reaps the process, the exit status is
unknown, and its pid may belong to another process by then.
"""

import errno
import fcntl
import os
import signal
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from math import inf
from pathlib import Path

from emperor.linux.proc import BORN_TICKS, catches, children_of_thread, has_socket, state_fields
from emperor.linux.spawn_thread import SpawnThread
from emperor.linux.timed_query import ask_each
from emperor.model.ports import CannotLaunch, Exit
from emperor.model.spec import Identity

LOG_MODE = 0o640
_LAST_CAPABILITY = Path("/proc/sys/kernel/cap_last_cap")
_TRACED_SECONDS = 1.0
_LONGEST_TRACED_SECONDS = 60.0
# Python makes the set anew at each question, which takes 50 µs.
_ALL_SIGNALS = tuple(map(int, signal.valid_signals()))

_CURES = {
    errno.ENOENT: "; is it there, and its interpreter?",
    errno.ENOEXEC: "; it is no program for this machine",
    errno.EAGAIN: "; the limit on processes is reached (TasksMax= of the unit, ulimit -u)",
    errno.EMFILE: "; the limit on open files is reached (LimitNOFILE= of the unit)",
}


class LedProcess:
    """The leader of a process group, a child or not, by a pidfd that this object owns. Its exit
    kills the rest of the group, and is reported once."""

    __slots__ = ("_loop", "_on_exit", "_pidfd", "pid")

    def __init__(
        self, pid: int, pidfd: int, loop: AbstractEventLoop, on_exit: Callable[[Exit], None]
    ) -> None:
        self.pid = pid
        self._loop = loop
        self._on_exit = on_exit
        self._pidfd: int | None = pidfd
        loop.add_reader(pidfd, self._exited, pidfd)

    @property
    def pidfd(self) -> int | None:
        """Its descriptor; None after the exit."""
        return self._pidfd

    def children(
        self, catching: signal.Signals | None = None, older_than_seconds: float = 0.0
    ) -> tuple[int, ...]:
        """The pids of its children; with `catching`, of those that catch this signal or have at
        least that age. Empty where the kernel lists none."""
        pids = children_of_thread(self.pid, self.pid)
        if catching is None:
            return pids
        born_before = time.clock_gettime(time.CLOCK_BOOTTIME) - older_than_seconds
        return tuple(ask_each(pids, partial(_is_ready, catching, born_before)))

    def send(self, number: signal.Signals) -> None:
        """Send it that signal. Harmless after the exit."""
        if self._pidfd is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def hang_up_children(self, but: Collection[int]) -> None:
        """SIGHUP all of its children except these."""
        for pid in set(self.children()).difference(but):
            with suppress(OSError):  # it is gone, or no descriptor is left
                pidfd = os.pidfd_open(pid)
                try:
                    # The number may have become another's before the descriptor was opened.
                    if pid in self.children():
                        signal.pidfd_send_signal(pidfd, signal.SIGHUP)
                finally:
                    os.close(pidfd)

    def kill(self) -> None:
        """SIGKILL the group. Harmless after the exit."""
        if self._pidfd is not None and _is_number_theirs(self.pid, self._pidfd):
            _kill_group(self.pid)

    def _exited(self, pidfd: int) -> None:
        self._loop.remove_reader(pidfd)
        self.kill()
        self._pidfd = None
        ended = _reap(pidfd)
        if ended is None:
            ended = Exit(unknown="another process traces it")
            self._loop.call_later(_TRACED_SECONDS, self._bury, pidfd, 2 * _TRACED_SECONDS)
        else:
            os.close(pidfd)
        self._on_exit(ended)

    def _bury(self, pidfd: int, delay: float) -> None:
        """Reap it once its tracer lets it go; until then look again after `delay` seconds."""
        if _reap(pidfd) is None:
            self._loop.call_later(delay, self._bury, pidfd, min(2 * delay, _LONGEST_TRACED_SECONDS))
        else:
            os.close(pidfd)


@dataclass(frozen=True, slots=True)
class Spawner:
    """Starts processes whose exits are reported by `loop`: in `thread`, if there is one."""

    loop: AbstractEventLoop
    thread: SpawnThread | None = None

    def spawn(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        fds: Mapping[int, int],
        on_exit: Callable[[Exit], None],
    ) -> LedProcess:
        """Start `argv` with /dev/null as standard input, and with `fds`: the child's numbers (1 and
        2 for its output), each with a descriptor of ours, which stays open here. The child gets no
        other descriptor, unless one of this process lacks close-on-exec. Signals are at their
        defaults.

        `on_exit` is called once, after the exit.
        Raises CannotLaunch.
        """
        start = partial(_spawn, argv, env)
        try:
            pid = self.thread.run(start, fds) if self.thread else start(fds)
        except OSError as error:
            raise cannot_launch(argv[0], error) from error
        with ExitStack() as stack:
            stack.callback(os.waitpid, pid, 0)
            stack.callback(_kill_group, pid)
            try:
                pidfd = os.pidfd_open(pid)
                stack.callback(os.close, pidfd)
                child = LedProcess(pid, pidfd, self.loop, on_exit)
            except OSError as error:
                raise cannot_launch(argv[0], error) from error
            stack.pop_all()
        return child


def spawn(
    argv: Sequence[str],
    env: Mapping[str, str],
    fds: Mapping[int, int],
    loop: AbstractEventLoop,
    on_exit: Callable[[Exit], None],
) -> LedProcess:
    """Start a process as `Spawner.spawn` does, from this thread. Raises CannotLaunch."""
    return Spawner(loop).spawn(argv, env, fds, on_exit)


def _spawn(argv: Sequence[str], env: Mapping[str, str], fds: Mapping[int, int]) -> int:
    """Start a process. Returns its pid. Raises OSError."""
    with _out_of_the_way(fds) as sources:
        return os.posix_spawnp(
            argv[0],
            list(argv),
            env,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                *((os.POSIX_SPAWN_DUP2, source, target) for target, source in sources.items()),
            ],
            setsid=True,
            setsigmask=(),
            # Python ignores SIGPIPE, and what is ignored stays ignored across exec.
            setsigdef=_ALL_SIGNALS,
        )


def as_identity(identity: Identity, argv: Sequence[str], *, no_new_privs: bool = True) -> list[str]:
    """`argv` run as that user, by setpriv(1): it costs a millisecond in the child and none here.

    It has no capabilities and can get none, and no program that it runs gives it further rights
    (PR_SET_NO_NEW_PRIVS), unless `no_new_privs` is false. Root keeps its own.
    """
    if identity.uid == 0:
        return list(argv)
    groups = "--clear-groups" if identity.user is None else "--init-groups"
    user = ["--reuid", str(identity.uid), "--regid", str(identity.gid), groups]
    none = _without_capabilities()
    limits = [f"--inh-caps={none}"]
    if no_new_privs:
        limits += [f"--bounding-set={none}", "--no-new-privs"]
    return ["setpriv", *user, *limits, "--", *argv]


def without_capabilities(argv: Sequence[str]) -> list[str]:
    """`argv` run as the user of this process, without any of root's capabilities: it may do what
    the modes of files let their owner do, and no more."""
    none = _without_capabilities()
    sets = [f"--inh-caps={none}", f"--bounding-set={none}"] if os.geteuid() == 0 else []
    return ["setpriv", *sets, "--no-new-privs", "--", *argv]


@lru_cache(maxsize=1)
def _without_capabilities() -> str:
    """All capabilities of this kernel, as setpriv drops them. It refuses `-all` on a kernel that
    has more of them than it knows."""
    last = int(_LAST_CAPABILITY.read_text(encoding="ascii"))
    return ",".join(f"-cap_{number}" for number in range(last + 1))


def open_log(path: str) -> int:
    """The file at `path`, created if it is missing, opened for appending. It follows no link, and
    does not wait for the reader of a pipe. Raises CannotLaunch."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        return os.open(path, flags, LOG_MODE)
    except OSError as error:
        cure = "; it is a link, move it away" if error.errno == errno.ELOOP else ""
        raise CannotLaunch(f"cannot open the log {path}: {error.strerror}{cure}") from error


def leader_with_socket(inode: int, fd: int) -> tuple[int, int] | None:
    """The leader of a group that has the socket with that inode as its descriptor `fd`: its pid,
    and a new pidfd. None where there is none."""
    holds = partial(_holding, inode, fd)
    for pid in ask_each([int(entry) for entry in os.listdir("/proc") if entry.isdecimal()], holds):
        with suppress(ProcessLookupError), ExitStack() as stack:
            pidfd = os.pidfd_open(pid)
            stack.callback(os.close, pidfd)
            if os.getpgid(pid) == pid and ask_each([pid], holds):
                stack.pop_all()
                return pid, pidfd
    return None


def _holding(inode: int, fd: int, pid: int) -> int | None:
    """The process, if it has that socket as its descriptor `fd`. May wait."""
    return pid if has_socket(pid, inode, fd) else None


def _is_ready(catching: signal.Signals, born_before: float, pid: int) -> int | None:
    """The process, if it catches that signal or was forked before that time in seconds since the
    boot. May wait."""
    if catches(pid, catching):
        return pid
    fields = state_fields(pid)
    born = int(fields[BORN_TICKS]) / os.sysconf("SC_CLK_TCK") if fields else inf
    return pid if born <= born_before else None


@contextmanager
def _out_of_the_way(fds: Mapping[int, int]) -> Iterator[dict[int, int]]:
    """`fds` (target to source) with sources above all targets, so that no dup2(2) in the child
    overwrites what a later one needs, or finds source and target the same and keeps CLOEXEC."""
    above = max(fds, default=0) + 1
    copies: dict[int, int] = {}
    try:
        for source in set(fds.values()):
            if source < above:
                copies[source] = fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, above)
        yield {target: copies.get(source, source) for target, source in fds.items()}
    finally:
        for copy in copies.values():
            os.close(copy)


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _is_number_theirs(pid: int, pidfd: int) -> bool:
    """Whether `pid` still names the group of that process. It does until the leader is reaped, and
    after that as long as another process of the group lives: the kernel does not reuse the number
    before."""
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return not os.path.exists(f"/proc/{pid}")
    except PermissionError:
        return True
    return True


def _reap(pidfd: int) -> Exit | None:
    """How it ended. None: it is dead, but a tracer of the same user is notified first and may keep
    it for any time. Without WNOHANG this call would wait for that."""
    try:
        result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return Exit(unknown="it was reaped by another process")
    if result is None:
        return None
    if result.si_code == os.CLD_EXITED:
        return Exit(code=result.si_status)
    return Exit(signal=signal_name(result.si_status))


def signal_name(number: int) -> str:
    """The name of a signal, as SIGKILL."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def cannot_launch(program: str, error: OSError) -> CannotLaunch:
    """The error with its cure, where one is known."""
    cure = _CURES.get(error.errno or 0, "")
    return CannotLaunch(f"cannot spawn {program}: {error.strerror}{cure}")
