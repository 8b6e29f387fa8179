"""Has uWSGI resolve the options of an ini that we cannot read ourselves, without starting the app.

`--get` would run the exec-asap of the ini, and its vacuum would delete pidfile and stats socket. So
uWSGI gets three hooks ahead of those in the ini. The first prints every option as it was resolved,
the second is _exit(2), which runs no atexit handler (measured, with every kind of early hook). The
third is _exit(2) at an exit(3) before them: uWSGI calls that at the first option that it refuses,
and would run the atexit hooks and the vacuum of the ini. One side effect remains: a spooler's
folder is made, as it would be at the start.

Some options act while uWSGI parses the ini, before any hook. An ini that has one is refused.

uWSGI reads a copy of the bytes that were judged (uwsgi/copies): the file may be another one by now.
"""

import asyncio
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from copy import copy as shallow_copy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from emperor.linux.accounts import own_user
from emperor.linux.commands import EndlessOutput, run_command
from emperor.linux.group_names import group_name
from emperor.linux.processes import as_identity
from emperor.model.definition import BrokenIni
from emperor.model.ports import CannotLaunch, Exit, Gate
from emperor.model.spec import Identity
from emperor.uwsgi.blame import blamed
from emperor.uwsgi.bounds import READING_BYTES, Bounds, Enter, as_it_is
from emperor.uwsgi.command import END_OF_BLOCK
from emperor.uwsgi.copies import FOLDER_MODE, Copy, IniCopies, remove_copy
from emperor.uwsgi.environment import environment_of, environment_of_nobody
from emperor.uwsgi.ini import Ini, Option
from emperor.uwsgi.loaded import MOST_FILES, find_side_effect
from emperor.uwsgi.plugins import Lacking, Plugins

# An ini can have uWSGI allocate all memory, by a large cache. Where the memory ends, the kernel
# kills this uWSGI then, and no app and no daemon.
_FIRST_TO_GO = ("choom", "-n", "1000", "--")
AT_ONCE = 4
TIMEOUT_SECONDS = 10.0
LONGEST_ANSWER = 4 << 20
# Exit codes of env(1) and setpriv(1) that could not enter the folder or find the binary.
_NOT_RUN = frozenset({125, 126, 127})
_STRICT = "unknown config directive"
_NOT_THERE = "No such file or directory"
_LONGEST_EXCERPT = 200
_NONE = Plugins()
_UNABLE = re.compile(r"!!! UNABLE to load uWSGI plugin: (.*) !!!")

_HOOKS = (
    ("hook-asap", "callint:show_config"),
    ("hook-asap", "callint:_exit 0"),
    ("hook-as-user-atexit", "callint:_exit 1"),
)
# uWSGI prints this last, before the third hook.
_LAST_HOOK = 'running "callint:_exit 1" (atexit)...'


class CannotResolve(Exception):
    """uWSGI could not be run, or gave no answer. The message names the cause, and the cure if it
    is known."""

    def __init__(self, cause: str, cure: str = "") -> None:
        super().__init__(f"{cause}; {cure}" if cure else cause)
        self.cause = cause
        self.cure = cure


@dataclass(frozen=True, slots=True)
class Confinement:
    """Where a daemon has uWSGI read inis: the copies, and what holds the processes."""

    copies: IniCopies
    bounds: Bounds


class Resolver:
    """Runs the binary `uwsgi` on inis of `folder`, a few at once, each for at most `seconds`.

    It reads the inis in `confinement`, or else copies in a temporary folder, held by nothing but
    time. No run begins while `gate` is closed. A run that is going on then is repeated.
    """

    def __init__(
        self,
        uwsgi: Path,
        folder: Path,
        gate: Gate,
        seconds: float = TIMEOUT_SECONDS,
        confinement: Confinement | None = None,
    ) -> None:
        self._uwsgi = str(uwsgi)
        self._folder = str(folder)
        self._confinement = confinement
        self._gate = gate
        self._seconds = seconds
        self._slots = asyncio.Semaphore(AT_ONCE)

    def running(self, binary: str) -> "Resolver":
        """One that runs `binary` instead, or the same if that is empty. Both share the limit."""
        if not binary:
            return self
        other = shallow_copy(self)
        other._uwsgi = binary
        return other

    @property
    def uwsgi(self) -> str:
        """The path of its binary."""
        return self._uwsgi

    async def resolve(
        self, ini: Ini, identity: Identity | None, *, has_its_variables: bool = True
    ) -> Ini:
        """`ini` with its options as uWSGI resolves them when it runs as `identity`, with or without
        the variables of that user, as $(HOME).

        Options from other files have line 0. Raises BrokenIni when uWSGI refuses the ini or does
        not answer in time, and when reading it would have side effects.
        """
        reason = ini.needs_uwsgi
        assert reason is not None
        try:
            return await self._read(ini, reason, identity, has_its_variables)
        except CannotResolve as error:
            cause = f"uWSGI must resolve {reason.key}: {error.cause}"
            raise reason.broken(cause, error.cure) from error

    async def dry_read(
        self, ini: Ini, identity: Identity | None, *, has_its_variables: bool = True
    ) -> Ini:
        """Have uWSGI read an ini that we can read alone. Raises CannotResolve when uWSGI cannot be
        asked or reading would have side effects, and BrokenIni when uWSGI refuses the ini."""
        return await self._read(ini, None, identity, has_its_variables)

    async def _read(
        self, ini: Ini, reason: Option | None, identity: Identity | None, has_its_variables: bool
    ) -> Ini:
        async with self._slots:
            await self._refuse_side_effects(ini, reason, identity)
            # Each record of the answer begins with the token, so no value can pass for a record.
            token = secrets.token_hex(4)
            log_date = f"--log-date={token}"
            hooks = [f"--{key}={value}" for key, value in _HOOKS]
            with self._copied(ini, token, identity) as copy:
                before = [f"--include={copy.defaults}", END_OF_BLOCK] if copy.defaults else []
                arguments = [*hooks, log_date, *before, "--ini", copy.ini, END_OF_BLOCK, log_date]
                try:
                    with self._held(ini, token, identity) as enter:
                        ended, printed = await self._run(
                            arguments, identity, enter, has_its_variables
                        )
                except CannotLaunch as error:
                    raise CannotResolve(str(error)) from error
        options = _options(ini, copy, printed, token)
        if ended.signal == "SIGKILL":
            cause = f"uWSGI needs more than {READING_BYTES >> 20} MB to read it, and was killed"
            raise BrokenIni(cause, "look for a for-times", reason.line if reason else 0)
        if ended.signal is not None:
            cause = f"uWSGI crashes when it reads it ({ended}): does a file include itself?"
            raise BrokenIni(cause, "drop that include", reason.line if reason else 0)
        if ended.code != 0:
            said = printed.replace(f"{token} - ", "").replace(_LAST_HOOK, "")
            error_line = _last_line(said.replace(copy.ini, ini.name))
            raise self._refused(f"uWSGI refuses it ({ended}): {error_line}", ini)
        if options is None:
            raise BrokenIni(
                "uWSGI does not print the options",
                "drop what makes uWSGI print and exit, or date its log",
            )
        if option := next((option for option in options if token in option.value), None):
            # The token is the name of the folder that has the copy.
            raise BrokenIni(
                f"a file that it includes says %D, %P, %C or %O in {option.key}, which is not the"
                " folder of the ini there, since uWSGI reads a copy",
                f"write {self._folder} there",
            )
        return replace(ini, options=options, needs_uwsgi=None, is_resolved=True)

    @contextmanager
    def _copied(self, ini: Ini, key: str, identity: Identity | None) -> Iterator[Copy]:
        """A copy of the judged bytes, while uWSGI reads it. Raises CannotResolve."""
        with ExitStack() as stack:
            if self._confinement is None:
                folder = Path(stack.enter_context(TemporaryDirectory(prefix="emperord-")))
                folder.chmod(FOLDER_MODE)
                copies = IniCopies(Path(self._folder), folder)
            else:
                copies = self._confinement.copies
            try:
                copy = copies.make(ini.name, ini.data, ini.before, key, identity)
            except CannotLaunch as error:
                raise CannotResolve(str(error)) from error
            stack.callback(remove_copy, copy.ini)
            yield copy

    def _refused(self, cause: str, ini: Ini) -> BrokenIni:
        option = blamed(ini.options, cause)
        cure = f"correct {option.key}" if option else "correct the option that this is about"
        if _STRICT in cause and option:
            pair = f"{option.key}={option.value}"
            cure = f"drop it, or write set-placeholder = {pair} for a placeholder"
        elif _NOT_THERE in cause and option and option.value.startswith("/"):
            cure = f"put the file there, or correct {option.key}"
        elif _NOT_THERE in cause:
            cure = f"put the file there: a relative path begins in {self._folder}"
        return BrokenIni(cause, cure, option.line if option else 0)

    async def rehearse(
        self, arguments: Sequence[str], plugins: Plugins, identity: Identity | None
    ) -> tuple[Exit, str]:
        """How a uWSGI with these arguments ends, with status 0 if it comes to the moment when
        apps are loaded, and what it prints. Raises CannotResolve."""
        ours = ["--master", "--no-server", "--hook-post-app=callint:_exit 0"]
        async with self._slots:
            return await self._run([*plugins.arguments, *ours, *arguments], identity)

    async def options(self, plugins: Plugins = _NONE) -> frozenset[str]:
        """The names of all options that this uWSGI knows with these plugins. Raises
        CannotResolve."""
        _, printed = await self._run([*plugins.arguments, "--dump-options"], None)
        # A plugin that is not there is complained of in sentences.
        return frozenset(line for line in printed.splitlines() if line and " " not in line)

    async def python(self, plugins: Plugins = _NONE) -> str | None:
        """The version of the Python in this uWSGI, as 3.11. None without Python, or if its plugin
        is not among these. Raises CannotResolve."""
        _, printed = await self._run([*plugins.arguments, "--python-version"], None)
        found = re.search(r"^(\d+\.\d+)\.\d+\S*$", printed, re.MULTILINE)
        return found[1] if found else None

    async def loggers(self, plugins: Plugins = _NONE) -> frozenset[str]:
        """The names of the loggers that this uWSGI has with these plugins. Raises
        CannotResolve."""
        _, printed = await self.rehearse(["--loggers-list"], plugins, None)
        _, _, rest = printed.partition("*** uWSGI loaded loggers ***\n")
        return frozenset(rest.partition("--- end of loggers list ---")[0].split())

    async def alarms(self, plugins: Plugins = _NONE) -> frozenset[str]:
        """The kinds of alarms that this uWSGI has with these plugins. Raises CannotResolve."""
        _, printed = await self.rehearse(["--alarm-list"], plugins, None)
        _, _, rest = printed.partition("*** uWSGI loaded alarms ***\n")
        return frozenset(rest.partition("--- end of alarms list ---")[0].split())

    async def lacking(self, plugins: Plugins) -> Lacking:
        """Which of the plugins this uWSGI cannot load. Raises CannotResolve."""
        if await self._unable(plugins) is None:
            return Lacking({}, ())
        alone = [replace(plugins, names=(name,)) for name in plugins.names]
        causes = [await self._unable(each) for each in alone]
        why = {name: cause for name, cause in zip(plugins.names, causes, strict=True) if cause}
        _, printed = await self.rehearse(["--plugins-list"], _NONE, None)
        listed = printed.partition("*** uWSGI loaded generic plugins ***")[2]
        words = listed.partition("--- end of plugins list ---")[0].split()
        return Lacking(why, frozenset(words))

    async def _unable(self, plugins: Plugins) -> str | None:
        _, printed = await self._run([*plugins.arguments, "--version"], None)
        found = _UNABLE.search(printed)
        return found[1] if found else None

    async def _refuse_side_effects(
        self, ini: Ini, reason: Option | None, identity: Identity | None
    ) -> None:
        # uWSGI reads the ini of a tenant as the tenant, who may run anything anyway. And root must
        # not open files that a tenant names.
        most = MOST_FILES if identity is None else 1
        side_effect = await asyncio.to_thread(find_side_effect, ini, self._folder, most)
        if side_effect:
            if reason is None:
                raise CannotResolve(f"{side_effect.text} would act when uWSGI reads the ini")
            raise BrokenIni(
                f"{side_effect.text} would act when uWSGI reads the ini, which"
                f" line {reason.line}: {reason.key} makes necessary",
                "write out what one of the two stands for",
                side_effect.line,
            )

    def _held(self, ini: Ini, key: str, identity: Identity | None) -> AbstractContextManager[Enter]:
        """What holds the processes that read the ini: an include may run anything."""
        if self._confinement is None:
            return nullcontext(as_it_is)
        uid = identity.uid if identity else os.geteuid()
        domain = ini.name.removesuffix(".ini")
        return self._confinement.bounds.reading(group_name(uid, domain, int(key, 16)))

    async def _run(
        self,
        arguments: list[str],
        identity: Identity | None,
        enter: Enter = as_it_is,
        has_its_variables: bool = True,
    ) -> tuple[Exit, str]:
        """The exit of uWSGI, and all that it printed. Raises CannotResolve."""
        run = partial(self._run_now, arguments, identity, enter, has_its_variables)
        return await self._gate.repeat(run)

    async def _run_now(
        self,
        arguments: list[str],
        identity: Identity | None,
        enter: Enter,
        has_its_variables: bool,
    ) -> tuple[Exit, str]:
        argv = [self._uwsgi, *arguments]
        if identity is not None:
            argv = as_identity(identity, argv)
        environment = environment_of_nobody(os.environ)
        if has_its_variables:
            environment = environment_of(identity or own_user(), os.environ)
        # uWSGI resolves %v, %d and relative includes against its working directory.
        argv = enter([*_FIRST_TO_GO, "env", "-C", self._folder, *argv])
        try:
            async with asyncio.timeout(self._seconds):
                ended, printed = await run_command(argv, environment, LONGEST_ANSWER)
        except CannotLaunch as error:
            raise CannotResolve(str(error)) from error
        except EndlessOutput as error:
            raise CannotResolve("its answer has no end", "look for a for-times") from error
        except TimeoutError as error:
            raise CannotResolve(
                f"it gave no answer within {self._seconds:g} s",
                "look for an include that waits, a pipe or a file on another machine",
            ) from error
        if ended.code in _NOT_RUN:
            raise CannotResolve(_last_line(printed))
        return ended, printed


def _options(ini: Ini, copy: Copy, printed: str, token: str) -> tuple[Option, ...] | None:
    """The options that show_config (core/config.c) printed, without those of our command line.
    None when the output is not complete."""
    records = [record.removesuffix("\n") for record in printed.split(f"{token} - ")]
    try:
        start = records.index("\n;uWSGI instance configuration\n[uwsgi]")
        end = records.index(";end of configuration\n", start)
    except ValueError:
        return None
    ours = [*_HOOKS, ("log-date", token), ("ini", copy.ini), ("endif", "true"), ("log-date", token)]
    ours += [("include", copy.defaults), ("endif", "true")] if copy.defaults else []
    written: dict[str, list[Option]] = {}
    for option in reversed(ini.options):
        written.setdefault(option.key, []).append(option)
    options = []
    for record in records[start + 1 : end]:
        key, _, value = record.partition(" = ")
        if (key, value) in ours:
            ours.remove((key, value))
        else:
            source = _source(written.get(key, []), value) or Option(key, value, 0)
            # uWSGI cuts some values in place when it parses them. A command may print nothing.
            is_cut = source.value.startswith(value) and (value or "@(" not in source.value)
            options.append(Option(key, source.value if is_cut else value, source.line))
    return tuple(options)


def _source(written: list[Option], value: str) -> Option | None:
    """The option of the ini that uWSGI resolved to `value`, taken from those `written`, the last
    one first. None for an option of another file."""
    for index in range(len(written) - 1, -1, -1):
        source = written[index].value
        if source.startswith(value) or any(sign in source for sign in "%$@"):
            option = written[index]
            del written[index:]
            return option
    return None


def _last_line(printed: str) -> str:
    lines = [line.strip() for line in printed.splitlines()]
    return next((line[:_LONGEST_EXCERPT] for line in reversed(lines) if line), "it printed nothing")
