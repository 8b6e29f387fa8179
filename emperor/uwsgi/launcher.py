"""Starts vassals as uWSGI processes: argv, environment, pipe, log and process put together."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from weakref import WeakSet

from emperor.bases.base_group import group_of_base
from emperor.bases.request import Home, Sharing
from emperor.linux.accounts import Memberships, Registered, group_id, own_user
from emperor.linux.group_names import group_name
from emperor.linux.groups import ControlGroup
from emperor.linux.holders import holder_of
from emperor.linux.log_owner import has_no_room
from emperor.linux.orphans import Family
from emperor.linux.processes import LedProcess, leader_with_socket
from emperor.linux.timed_query import ask
from emperor.model.cause import StartMethod
from emperor.model.limits import Limits
from emperor.model.ports import (
    CannotLaunch,
    Exit,
    Listener,
    Message,
    ProcessEvents,
)
from emperor.model.settings import Settings
from emperor.model.snapshot import ProcessRef
from emperor.model.spec import Identity, Spec
from emperor.uwsgi import boot_files, slow_imports
from emperor.uwsgi.bounds import Bounds
from emperor.uwsgi.command import LISTENER_FD, PIPE_FD, argv, environment, without_vacuum
from emperor.uwsgi.copies import Copy, copies_of, remove_copy
from emperor.uwsgi.defaults import DefaultsFile
from emperor.uwsgi.environment import environment_of
from emperor.uwsgi.exits import Circumstances
from emperor.uwsgi.inheritance import NOTHING, Inheritance
from emperor.uwsgi.ini import with_values
from emperor.uwsgi.options import uwsgi_options
from emperor.uwsgi.pipe import Pipe
from emperor.uwsgi.process import SpawnEvents, UwsgiProcess, mark_of
from emperor.uwsgi.pythons import own_python_home
from emperor.uwsgi.slow_imports import ImportTimes
from emperor.uwsgi.start import Start, Starter, user_of


@dataclass(frozen=True, slots=True)
class _Passed:
    """The sockets that a process is given, its control group and limits, and what it reads."""

    listener: Listener
    inherited: Inheritance
    group: ControlGroup | None
    limits: Limits
    copy: Copy
    import_times: ImportTimes


class _SocketGroup:
    """The group of the sockets, whose members may connect to all apps."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._gid = group_id(name)
        self._memberships = Memberships()

    def refuse(self, user: Identity) -> None:
        """Raise CannotLaunch for a user who has become a member since its ini was read."""
        if user.uid == 0 or self._gid is None or not self._memberships.has(user, self._gid):
            return
        raise CannotLaunch(
            f"cannot start an app as {user.user}, who is in {self._name}, nginx's group, and may"
            f" connect to all apps; gpasswd -d {user.user} {self._name}"
        )


class UwsgiLauncher:
    """Runs `uwsgi` for each spec. It starts in the folder of inis, since uWSGI resolves %v and
    relative includes against that."""

    def __init__(
        self,
        uwsgi: Path,
        settings: Settings,
        starter: Starter,
        bounds: Bounds,
        defaults: DefaultsFile,
    ) -> None:
        self._uwsgi = str(uwsgi)
        self._python_home = own_python_home(uwsgi)
        self._defaults = defaults
        self._bounds = bounds
        self._vassals = settings.vassals_dir
        self._user = own_user()
        self._socket_group, self._registered = _SocketGroup(settings.socket_group), Registered()
        self._copies = copies_of(settings)
        self._boot_files = starter.boot_files
        self._log_dir = settings.log_dir
        self._loop = starter.spawner.loop
        self._processes: WeakSet[UwsgiProcess] = WeakSet()
        self._family = Family(self._loop)
        self._starter = starter

    def prepare(
        self,
        spec: Spec,
        listener: Listener,
        generation: int,
        events: ProcessEvents,
        text: bytes,
    ) -> UwsgiProcess:
        """A process for `spec` that is not started yet. Raises CannotLaunch."""
        if not text:
            raise CannotLaunch(f"cannot serve {spec.ini}: its text was not kept; touch it")
        if listener.fd < 0:
            raise CannotLaunch(f"cannot serve on {spec.socket}: it could not be bound again")
        limits = self._bounds.limits_of(spec)
        log = os.path.join(self._log_dir, f"{spec.domain}.log")
        spawn_events = self._events(spec, generation, events, log)
        ref = ProcessRef(runtime=spec.runtime.name, pid=None, pipe_inode=0, log=log)
        try:
            pipe = Pipe.new(self._loop, partial(self._said, spawn_events, ref))
        except OSError as error:
            raise CannotLaunch(f"cannot spawn uWSGI: {error.strerror}") from error
        ref.pipe_inode = os.fstat(pipe.far_fd).st_ino
        uid = spec.identity.uid if spec.identity else os.geteuid()
        ref.group = group_name(uid, spec.domain, ref.pipe_inode)
        inherited = NOTHING
        try:
            inherited = self._inherit(spec)
            judged = with_values(text, inherited.values)
            before = self._defaults.file if uwsgi_options(spec).defaults else None
            key = str(ref.pipe_inode)
            copy = self._copies.make(spec.ini, judged, before, key, spec.identity)
        except BaseException:
            inherited.close()
            pipe.close()
            raise
        ref.copy = copy.ini
        group = self._bounds.groups.group(ref.group)
        times = ImportTimes()
        passed = _Passed(listener, inherited, group, limits, copy, times)
        spawn = partial(self._spawn, spec, ref, passed)
        process = UwsgiProcess(pipe, ref, spawn_events, spawn, self._family)
        process.inherited, process.group, process.import_times = inherited, group, times
        self._note(process)
        return process

    def adopt(
        self,
        spec: Spec,
        ref: ProcessRef,
        fds: Sequence[int],
        generation: int,
        events: ProcessEvents,
    ) -> UwsgiProcess | None:
        """Go on with a process of an earlier daemon; None where it was not spawned."""
        pipe_fd, *pidfds = fds
        pid = ref.pid
        if pid is None:
            # The earlier daemon died before it could save the pid.
            found = leader_with_socket(ref.pipe_inode, PIPE_FD)
            if found is None:
                os.close(pipe_fd)
                remove_copy(ref.copy)
                return None
            pid, pidfds = found[0], [found[1]]
        spawn_events = self._events(spec, generation, events, ref.log)
        pipe = Pipe.adopted(pipe_fd, self._loop, partial(self._said, spawn_events, ref))
        ref.pid = pid
        process = UwsgiProcess(pipe, ref, spawn_events, _cannot_spawn_again, self._family)
        process.group = self._bounds.groups.adopted(ref.group)
        self._note(process)
        process.take_over(pidfds[0])
        self._note_reload(ref, pid)
        return process

    def _events(self, spec: Spec, generation: int, events: ProcessEvents, log: str) -> SpawnEvents:
        around = Circumstances(
            partial(self._holder, spec), spec.foreign_sockets, is_log_full=partial(has_no_room, log)
        )
        return SpawnEvents(spec, generation, events, around)

    def _exited(self, domain: str, on_exit: Callable[[Exit], None], ended: Exit) -> None:
        self._boot_files.take(domain)
        self._boot_files.forget(domain)
        on_exit(ended)

    def _said(self, events: SpawnEvents, ref: ProcessRef, message: Message) -> None:
        if message is Message.FIRST_REPLY:
            self._boot_files.take(events.spec.domain)
        elif message is Message.ACCEPTING and ref.pid is not None:
            self._starter.bases.accepts(ref.pid)
            self._note_reload(ref, ref.pid)
        events.on_message(message)

    def _note_reload(self, ref: ProcessRef, pid: int) -> None:
        """A process that reloads itself becomes the program."""
        is_forked = ref.method is StartMethod.FORK
        if is_forked and ask(pid, partial(_runs, pid, self._uwsgi), False):
            ref.way = f"by exec, since it has reloaded itself; it was {ref.way}"
            ref.method = StartMethod.EXEC

    def _note(self, process: UwsgiProcess) -> None:
        self._processes.add(process)
        if uwsgi_options(process.spec).counts_workers:
            process.end_without_workers()
        process.other = partial(self._other, process)

    def _other(self, process: UwsgiProcess) -> int | None:
        """The pid of another process of that vassal that runs beside this one."""
        others = (other for other in self._of(process.spec.domain) if other is not process)
        return next((other.pid for other in others), None)

    def _of(self, domain: str) -> list[UwsgiProcess]:
        """The processes of a vassal that run."""
        return [
            process for process in tuple(self._processes)
            if process.spec.domain == domain and process.is_running
        ]  # fmt: skip

    def _inherit(self, spec: Spec) -> Inheritance:
        """What a new process takes over from one of the vassal that runs. Raises CannotLaunch."""
        for process in self._of(spec.domain) if spec.inherited else ():
            if (inherited := process.inherit(spec)) is not NOTHING:
                return inherited
        return NOTHING

    def _holder(self, spec: Spec, address: str) -> str:
        """What listens at `address`, in words for the vassal of `spec` that cannot. A tenant must
        not learn the names of others."""
        leaders = {process.pid: process.spec for process in self._processes if process.is_running}
        found = holder_of(address, leaders)
        if found is None:
            return "by a process that has gone meanwhile"
        if found.pid is None:
            return f"by a process of {found.user}" if found.user else "by another process"
        holder = leaders.get(found.group or 0)
        if holder is None:
            return f"by {found.name} (pid {found.pid})"
        if holder.domain == spec.domain:
            return f"by an earlier process of this app (pid {found.pid})"
        is_hidden = spec.owner not in (None, holder.owner)
        return "by another app" if is_hidden else f"by {holder.domain} (pid {found.pid})"

    def _sharing(self, spec: Spec, home: str, limits: Limits) -> Sharing | str:
        """What makes a base of its home worth it, or why it can have none, where its ini names a
        home. A base is held by a control group alone, which ends all that its modules have
        started."""
        user, options = spec.identity or self._user, uwsgi_options(spec)
        if user.uid == 0:
            return "nothing of it is imported as root" if options.home else ""
        if not options.has_home_base:
            return "bases = standard" if options.home else ""
        if not self._bounds.groups.can_make:
            return ""
        return Sharing(
            home=Home(
                home, user_of(spec.identity), spec.no_new_privs, self._bounds.open_files_of(limits)
            ),
            domain=spec.domain,
            environment=environment_of(user, os.environ),
            limits=limits,
            group=partial(group_of_base, self._bounds.groups, user.uid),
        )

    def _require(self, user: Identity) -> None:
        """Raise CannotLaunch where an app may not run as that user now."""
        try:
            self._socket_group.refuse(user)
            another = self._registered.why_another(user)
        except OSError as error:
            raise CannotLaunch(
                f"cannot look up {user.user or user.uid}: {error.strerror}"
            ) from error
        if another:
            raise CannotLaunch(f"cannot start the app: {another}; touch its ini")

    def _spawn(
        self,
        spec: Spec,
        ref: ProcessRef,
        passed: _Passed,
        fds: Mapping[int, int],
        on_exit: Callable[[Exit], None],
    ) -> LedProcess:
        """Raises CannotLaunch."""
        binary = self._binary(spec)
        if problem := _why_unusable(binary):
            raise CannotLaunch(f"cannot spawn {binary}: {problem}; install uWSGI there")
        if spec.identity is not None:
            self._require(spec.identity)
        with ExitStack() as stack:
            stack.callback(self._boot_files.forget, spec.domain)
            if (told := self._boot_files.begin(spec)) is not None:
                on_exit = partial(self._exited, spec.domain, on_exit)
            start = self._start_of(spec, ref, passed, fds, told)
            try:
                if passed.group is not None:
                    passed.group.make(passed.limits)
                process = self._starter.start(start, on_exit, partial(_note_way, ref))
            except OSError as error:
                raise CannotLaunch(f"cannot spawn {start.command[0]}: {error.strerror}") from error
            stack.pop_all()
        self._boot_files.started(spec)
        return process

    def _start_of(
        self,
        spec: Spec,
        ref: ProcessRef,
        passed: _Passed,
        fds: Mapping[int, int],
        told: int | None,
    ) -> Start:
        """What the process starts with; `told` is what it writes its files to. Raises
        CannotLaunch."""
        options, limits, times = uwsgi_options(spec), passed.limits, passed.import_times
        home = self._python_home if options.python_home is None else options.python_home
        command = argv(
            self._binary(spec), spec, passed.copy, home, is_measured=times.fd is not None
        )
        if options.vacuums and (running := self._of(spec.domain)):
            command[1:1] = without_vacuum(running[0].pid)
        user = spec.identity or self._user
        env = environment(spec, user, os.environ, mark_of(ref).variable)
        fds = {**fds, LISTENER_FD: passed.listener.fd, **passed.inherited.fds}
        _pass_on({boot_files.VARIABLE: told, slow_imports.VARIABLE: times.fd}, fds, env)
        return Start(
            command=command,
            environment=env,
            home=options.home or home,
            folder=self._vassals,
            identity=spec.identity,
            no_new_privs=spec.no_new_privs,
            open_files=self._bounds.open_files_of(limits),
            nice=limits.nice,
            entrances=passed.group.entrances if passed.group else (),
            fds=fds,
            by_exec=spec.drops_to or options.by_exec,
            sharing=self._sharing(spec, options.home or home, limits),
        )

    def _binary(self, spec: Spec) -> str:
        return uwsgi_options(spec).binary or self._uwsgi


def _pass_on(memory: Mapping[str, int | None], fds: dict[int, int], env: dict[str, str]) -> None:
    """Add to `fds` and `env` the memory that the app shares with the daemon, by its variable."""
    for variable, fd in memory.items():
        if fd is not None:
            fds[max(fds) + 1] = fd
            env[variable] = str(max(fds))


def _note_way(ref: ProcessRef, method: StartMethod, way: str) -> None:
    ref.method, ref.way = method, way


def _why_unusable(binary: str) -> str:
    """Why this cannot be run, as far as the shell that runs it would say it to the log alone; empty
    if nothing is known."""
    try:
        os.stat(binary)
    except OSError as error:
        return str(error.strerror)
    return "" if os.access(binary, os.X_OK) else "it is no program"


def _runs(pid: int, program: str) -> bool:
    """Whether that process is this program."""
    try:
        return os.path.samefile(f"/proc/{pid}/exe", program)
    except OSError:
        return False


def _cannot_spawn_again(_fds: Mapping[int, int], _on_exit: Callable[[Exit], None]) -> LedProcess:
    raise CannotLaunch("cannot spawn a process that an earlier emperord spawned")
