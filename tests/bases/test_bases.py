"""A real base, without a daemon: when it is made anew, and what comes in its place meanwhile."""

import asyncio
import ctypes
import os
import pwd
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from emperor.bases.base_group import group_of_base
from emperor.bases.base_process import BaseState
from emperor.bases.bases import Bases
from emperor.bases.kept_base import KeptBase, Maker, Recipe, Surroundings, encode
from emperor.bases.order import App, Imported, Order, Place, User
from emperor.bases.program import Program, own_program
from emperor.bases.request import Home, Request, Sharing
from emperor.linux.accounts import ListedGroups
from emperor.linux.groups import ControlGroup, ControlGroups
from emperor.linux.hierarchies import Hierarchies, Hierarchy, prepare
from emperor.linux.memory import memory_of
from emperor.linux.orphans import PR_SET_CHILD_SUBREAPER, adopt_orphans
from emperor.linux.processes import LedProcess, Spawner
from emperor.model.limits import Limits
from emperor.model.ports import StoreEntry
from tests.bases.moved_loop import MovedClock
from tests.eventually import eventually_async
from tests.linux.control_groups import in_group, removed
from tests.traces import PREFIX

PLACE = Place(
    environment={},
    home="/no/home/of/python",
    folder="/",
    user=None,
    no_new_privs=True,
    open_files=(100, 100),
    nice=0,
    targets=(1, 2),
    entrances=(),
)
ORDER = Order(PLACE, App("/bin/true", ()))


@pytest.fixture(autouse=True)
def family() -> Iterator[None]:
    """What bases fork twice becomes a child of this process, as of the daemon."""
    adopt_orphans()
    yield
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    children = psutil.Process().children()
    for child in children:
        if child.name() in ("emperord-base", "true"):
            child.kill()
            child.wait()


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The program of bases, with a copy of pyuwsgi that a test may replace."""
    own = own_program()
    assert isinstance(own, Program)
    return replace(own, pyuwsgi=shutil.copy(own.pyuwsgi, str(tmp_path)))


@pytest.fixture
async def bases(program: Program) -> AsyncIterator[Bases]:
    """One that can fork."""
    bases = Bases(program, {"PATH": os.environ["PATH"]}, Spawner(asyncio.get_running_loop()))
    bases.make()
    await eventually_async(lambda: has_spares(bases))
    yield bases
    await bases.close()


@contextmanager
def no_descriptor_is_free() -> Iterator[None]:
    """Let this process open nothing."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, limits[1]))
        with suppress(OSError):
            while True:
                stack.callback(os.close, os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        yield


def has_spares(bases: Bases) -> bool:
    return any(len(state.spares) == 2 for state in bases.states())


def has_been_told(bases: Bases) -> bool:
    """Whether the base that comes has said what it has imported."""
    assert bases._root
    coming = bases._root._coming
    return bool(coming and coming.imported.modules)


def pid(bases: Bases) -> int:
    [state] = bases.states()
    return state.pid


def start(bases: Bases, order: Order = ORDER, sharing: Sharing | str = "") -> LedProcess | None:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        forked = bases.start(
            Request(order, [null, null], (), sharing, lambda _: None, lambda _: None)
        )
        return forked.process if forked else None
    finally:
        os.close(null)


async def test_a_base_holds_the_standard_library(bases: Bases) -> None:
    [state] = bases.states()
    assert {"asyncio", "email.message", "ssl", "sqlite3"} <= {*state.modules}
    foreign = {name.partition(".")[0] for name in state.modules} - {*sys.stdlib_module_names}
    assert {name for name in foreign if not name.startswith(("__m", "_sysconfigdata"))} == set()


async def test_what_is_gone_in_a_newer_python_is_left_out(bases: Bases) -> None:
    [state] = bases.states()
    assert all("No module named" in why for why in state.left_out.values())


async def test_another_one_is_made_after_an_upgrade(bases: Bases, program: Program) -> None:
    first = pid(bases)
    os.utime(program.pyuwsgi)
    assert start(bases) is None, "nobody waits for it"
    await eventually_async(lambda: has_spares(bases))
    assert pid(bases) != first
    assert start(bases) is not None


async def test_spares_are_made_up_for(bases: Bases) -> None:
    started = set()
    for _ in range(5):
        process = start(bases)
        assert process
        started.add(process.pid)
        await eventually_async(lambda: has_spares(bases))
    [state] = bases.states()
    assert (state.forks, len(started)) == (5, 5)


async def test_a_base_that_is_stopped_is_made_again(bases: Bases) -> None:
    first = pid(bases)
    os.kill(first, signal.SIGSTOP)
    while start(bases):  # the spares that are there
        pass
    await eventually_async(lambda: has_spares(bases) and pid(bases) != first)


async def test_a_base_that_is_killed_is_made_again(
    bases: Bases, caplog: pytest.LogCaptureFixture
) -> None:
    first = pid(bases)
    os.kill(first, signal.SIGKILL)
    await eventually_async(lambda: not bases.states())
    assert start(bases) is None
    await eventually_async(lambda: has_spares(bases))
    assert pid(bases) != first
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "cannot fork apps from a base: killed by SIGKILL; they start by exec until there is"
        " another one"
    ]


async def test_a_base_for_which_no_descriptor_is_free_forks_later(program: Program) -> None:
    bases = Bases(program, {}, Spawner(asyncio.get_running_loop()))
    bases.make()
    with no_descriptor_is_free():
        await eventually_async(lambda: has_been_told(bases))
        assert bases.states() == ()
    await eventually_async(lambda: has_spares(bases))
    assert start(bases) is not None
    await bases.close()


async def test_the_earlier_base_serves_where_no_other_can_be_made(
    bases: Bases, caplog: pytest.LogCaptureFixture
) -> None:
    clock = MovedClock(asyncio.get_running_loop())
    first = pid(bases)
    clock.move(86_401.0)
    assert start(bases) is not None
    assert bases._root
    assert bases._root._coming
    os.kill(bases._root._coming.pid, signal.SIGKILL)
    await eventually_async(lambda: caplog.records)
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "cannot make another base: killed by SIGKILL; apps are forked from the earlier one until"
        " then"
    ]
    assert pid(bases) == first


async def test_a_path_that_is_no_text_is_left_to_exec(bases: Bases) -> None:
    assert start(bases, replace(ORDER, place=replace(PLACE, folder="/srv/\udcff"))) is None
    assert start(bases) is not None


async def test_without_a_python_there_is_none(
    program: Program, caplog: pytest.LogCaptureFixture
) -> None:
    missing = replace(program, python="/no/python")
    bases = Bases(missing, {}, Spawner(asyncio.get_running_loop()))
    bases.make()
    assert start(bases) is None
    assert "cannot fork apps from a base: " in caplog.text
    await bases.close()
    bases.make()
    assert bases.states() == ()


async def test_its_end_leaves_no_process(program: Program) -> None:
    bases = Bases(program, {}, Spawner(asyncio.get_running_loop()))
    bases.make()
    await eventually_async(lambda: has_spares(bases))
    [state] = bases.states()
    await bases.close()
    pids = (state.pid, *state.spares)
    await eventually_async(lambda: not any(map(psutil.pid_exists, pids)))


# Of the standard library, and not in the first base.
RARE = (
    "filecmp", "ftplib", "mailbox", "modulefinder", "plistlib", "poplib", "profile", "pstats",
    "shelve", "tabnanny", "trace", "wave", "zipapp",
)  # fmt: skip
OTHERS = (
    "compileall", "curses.ascii", "dbm", "dbm.dumb", "doctest", "json.tool", "pyclbr",
    "sqlite3.dump", "tomllib", "tracemalloc", "wsgiref.validate", "xml.dom.pulldom",
    "xmlrpc.server",
)  # fmt: skip


def sharing_of(domain: str) -> Sharing:
    """That of an app of a user's, in one home."""
    nobody = pwd.getpwnam("nobody")
    home = Home("/usr", User(nobody.pw_uid, nobody.pw_gid, "nobody"), True, (100, 100))
    return Sharing(home, domain, {}, Limits(), lambda _: None)


async def test_a_base_of_a_home_learns_what_a_later_app_imports(program: Program) -> None:
    modules = {"a.example": RARE, "b.example": RARE, "c.example": OTHERS}
    bases = Bases(program, {}, Spawner(asyncio.get_running_loop()), lambda app, _: modules[app])
    bases.make()
    await eventually_async(lambda: has_spares(bases))

    def of_home() -> list[BaseState]:
        return [state for state in bases.states() if state.home]

    for domain in ("a.example", "b.example"):
        start(bases, sharing=sharing_of(domain))
    await eventually_async(lambda: [state.modules for state in of_home() if state.spares])
    [first] = of_home()
    assert {*RARE} <= {*first.modules}
    assert not {*OTHERS} & {*first.modules}
    start(bases, sharing=sharing_of("c.example"))
    await eventually_async(lambda: [each.pid for each in of_home() if each.pid != first.pid])
    await eventually_async(lambda: {*RARE, *OTHERS} <= {*of_home()[0].modules})
    await bases.close()


class NoGroups:
    """Control groups that hold nothing."""

    can_make = True

    def group(self, _: str) -> ControlGroup | None:
        return None

    def adopted(self, _: str) -> ControlGroup | None:
        return None


class NoStore:
    def write(self, entries: Iterable[StoreEntry]) -> None:
        pass

    def tidy(self) -> bool:
        return False


def lost(home: Home) -> StoreEntry:
    """A base of that home, which another version has made, and that has ended."""
    other = Maker("0", (), "", "", ())
    ended = subprocess.Popen(["true"])
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    far.close()
    fds = near.detach(), os.pidfd_open(ended.pid)
    recipe = Recipe(home, {}, Limits(), RARE, Surroundings(frozenset(), {}))
    kept = KeptBase(ended.pid, other, Imported((), {}), 0.0, 0, recipe, "")
    ended.wait()
    data = encode(kept)
    assert data
    return StoreEntry(kept.key, data, fds)


async def test_lost_bases_are_for_the_same_users(program: Program) -> None:
    home = sharing_of("a.example").home
    assert home.user
    another = replace(home, user=replace(home.user, uid=home.user.uid - 1))
    bases = Bases(program, {}, Spawner(asyncio.get_running_loop()), lambda *_: ())
    bases.take_over(NoStore(), [lost(another), lost(home)], NoGroups())
    await eventually_async(lambda: [state.home for state in bases.states()] == ["", "/usr"])
    [_, state] = bases.states()
    assert state.user == "nobody"
    assert psutil.Process(state.pid).uids().real == home.user.uid
    assert {*RARE} <= {*state.modules}
    await bases.close()


async def test_nothing_is_made_anew_while_memory_is_short(program: Program) -> None:
    home = sharing_of("a.example").home
    spawner = Spawner(asyncio.get_running_loop())
    asked = asyncio.Event()

    def is_memory_short() -> bool:
        asked.set()
        return True

    bases = Bases(program, {}, spawner, lambda *_: (), is_memory_short)
    bases.take_over(NoStore(), [lost(home)], NoGroups())
    await eventually_async(lambda: has_spares(bases) and asked.is_set())
    assert [state.home for state in bases.states()] == [""]
    await bases.close()


async def test_lost_bases_are_made_when_memory_suffices_again(program: Program) -> None:
    home = sharing_of("a.example").home
    spawner = Spawner(asyncio.get_running_loop())
    is_short = True
    bases = Bases(program, {}, spawner, lambda *_: (), lambda: is_short)
    bases.take_over(NoStore(), [lost(home)], NoGroups())
    await eventually_async(lambda: has_spares(bases))
    is_short = False
    bases.look()
    await eventually_async(lambda: [state.home for state in bases.states()] == ["", "/usr"])
    await bases.close()


async def test_a_base_of_a_home_waits_for_the_first_base(
    program: Program, caplog: pytest.LogCaptureFixture
) -> None:
    is_due = asyncio.Event()

    def is_memory_short() -> bool:
        is_due.set()
        return False

    spawner = Spawner(asyncio.get_running_loop())
    bases = Bases(program, {}, spawner, lambda *_: RARE, is_memory_short)
    for domain in ("a.example", "b.example"):
        assert start(bases, sharing=sharing_of(domain)) is None
    await eventually_async(is_due.is_set)
    assert not caplog.records
    bases.make()
    await eventually_async(lambda: has_spares(bases))
    assert start(bases, sharing=sharing_of("a.example")) is not None
    await eventually_async(lambda: [state.home for state in bases.states()] == ["", "/usr"])
    await bases.close()


async def test_a_base_of_a_home_ends_when_memory_is_short(program: Program) -> None:
    is_short = False
    loop = asyncio.get_running_loop()
    bases = Bases(program, {}, Spawner(loop), lambda *_: RARE, lambda: is_short)
    bases.make()
    await eventually_async(lambda: has_spares(bases))
    for domain in ("a.example", "b.example"):
        start(bases, sharing=sharing_of(domain))
    await eventually_async(lambda: [state.home for state in bases.states()] == ["", "/usr"])
    is_short = True
    assert start(bases) is not None
    assert [state.home for state in bases.states()] == [""]
    await bases.close()


def of_home(bases: Bases) -> int:
    """The pid of the base of a home that can fork; 0 for none."""
    return next((state.pid for state in bases.states() if state.home and state.spares), 0)


def root_of(bases: Bases) -> int:
    """That of the base of the standard library."""
    return next((state.pid for state in bases.states() if not state.home and state.spares), 0)


def start_at_home(bases: Bases) -> str:
    """Start an app. Returns the home of whose base it was forked."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        order = replace(ORDER, place=replace(PLACE, home="/usr"))
        request = Request(
            order, [null, null], (), sharing_of("a.example"), lambda _: None, lambda _: None
        )
        forked = bases.start(request)
        assert forked
        return forked.home
    finally:
        os.close(null)


@pytest.fixture
async def clock() -> MovedClock:
    return MovedClock(asyncio.get_running_loop())


@pytest.fixture
async def at_home(program: Program, clock: MovedClock) -> AsyncIterator[Bases]:
    """One that has a base of a home."""
    loop = asyncio.get_running_loop()
    bases = Bases(program, {}, Spawner(loop), lambda *_: RARE, lambda: False)
    bases.make()
    await eventually_async(lambda: has_spares(bases))
    for domain in ("a.example", "b.example"):
        start(bases, sharing=sharing_of(domain))
    await eventually_async(lambda: of_home(bases))
    await all_is_there(bases)
    yield bases
    await bases.close()


async def all_is_there(bases: Bases) -> None:
    """Nothing is on its way that comes too late when the clock is moved."""
    await eventually_async(lambda: all(len(state.spares) == 2 for state in bases.states()))


async def test_a_lost_base_that_cannot_die_holds_no_other_up(
    program: Program, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one whose import waits for a file system that answers nobody."""
    hanging = sharing_of("a.example").home
    bases = Bases(program, {}, Spawner(asyncio.get_running_loop()), lambda *_: (), lambda: False)
    bases.make()
    await eventually_async(lambda: has_spares(bases))
    other = replace(hanging, open_files=(90, 90))
    entries = [lost(hanging), lost(other)]
    bases.take_over(NoStore(), entries, NoGroups())
    assert [*bases._of_homes] == [hanging]
    process = bases._of_homes[hanging].process
    os.kill(process.pid, signal.SIGSTOP)
    await all_is_there(bases)
    with monkeypatch.context() as undying:
        undying.setattr(LedProcess, "kill", lambda _: None)
        clock.move(60.0)
        await eventually_async(lambda: other in bases._of_homes)
    await eventually_async(lambda: of_home(bases))
    await bases.close()


async def test_bases_are_made_anew_after_a_day(at_home: Bases, clock: MovedClock) -> None:
    root, home = root_of(at_home), of_home(at_home)
    clock.move(86_401.0)
    assert start_at_home(at_home) == "/usr", "the earlier one serves until then"
    await eventually_async(lambda: root_of(at_home) not in (0, root))
    await eventually_async(lambda: of_home(at_home) not in (0, home))
    await eventually_async(lambda: not is_running(home) and not is_running(root))


async def test_an_app_starts_where_groups_cannot_be_read(at_home: Bases) -> None:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    order = replace(ORDER, place=replace(PLACE, home="/usr"))
    sharing = sharing_of("a.example")
    request = Request(order, [null, null], (), sharing, lambda _: None, lambda _: None)
    at_home._listed_groups = ListedGroups()
    try:
        with no_descriptor_is_free():
            forked = at_home.start(request)
    finally:
        os.close(null)
    assert forked
    assert forked.home == ""
    assert forked.why_not.startswith("cannot read the groups of its user: ")
    assert start_at_home(at_home) == "/usr"


async def test_bases_are_made_anew_after_many_forks(at_home: Bases) -> None:
    [base] = at_home._of_homes.values()
    home = of_home(at_home)
    base.process.forks = 9_999
    assert start_at_home(at_home) == "/usr"
    await all_is_there(at_home)
    assert of_home(at_home) == home
    assert start_at_home(at_home) == "/usr"
    await eventually_async(lambda: of_home(at_home) not in (0, home))
    await eventually_async(lambda: not is_running(home))


async def test_a_base_of_a_home_ends_when_nobody_uses_it(at_home: Bases, clock: MovedClock) -> None:
    home = of_home(at_home)
    clock.move(1_000.0)
    assert start_at_home(at_home) == "/usr"
    await all_is_there(at_home)
    clock.move(1_799.0)
    await asyncio.sleep(0)
    assert of_home(at_home) == home
    clock.move(2.0)
    await eventually_async(lambda: not is_running(home))
    assert start_at_home(at_home) == ""


async def test_a_base_of_a_home_serves_until_its_successor_can(at_home: Bases) -> None:
    """The base of the standard library was killed, from which it was forked."""
    root, home = root_of(at_home), of_home(at_home)
    os.kill(root, signal.SIGKILL)
    await eventually_async(lambda: root_of(at_home) not in (0, root))
    assert of_home(at_home) == home
    assert start_at_home(at_home) == "/usr"
    await eventually_async(lambda: of_home(at_home) not in (0, home))
    await eventually_async(lambda: not is_running(home))


async def test_what_another_version_has_made_ends(at_home: Bases, program: Program) -> None:
    home = of_home(at_home)
    os.utime(program.pyuwsgi)
    assert start(at_home) is None
    await eventually_async(lambda: not is_running(home))
    await eventually_async(lambda: of_home(at_home))


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


async def test_a_base_of_a_home_ends_where_libraries_have_changed(
    at_home: Bases, tmp_path: Path
) -> None:
    """Its modules may use one that no other base has in memory."""
    root, home = root_of(at_home), of_home(at_home)
    (tmp_path / "libpq.so.5").touch()
    assert start_at_home(at_home) == ""
    await eventually_async(lambda: not is_running(home))
    await eventually_async(lambda: of_home(at_home))
    assert root_of(at_home) == root
    await all_is_there(at_home)
    assert start_at_home(at_home) == "/usr"


async def test_idle_bases_of_homes_end_when_memory_gets_short(program: Program) -> None:
    is_short = False
    loop = asyncio.get_running_loop()
    bases = Bases(program, {}, Spawner(loop), lambda *_: RARE, lambda: is_short)
    bases.make()
    await eventually_async(lambda: has_spares(bases))
    for domain in ("a.example", "b.example"):
        start(bases, sharing=sharing_of(domain))
    await eventually_async(lambda: of_home(bases))
    bases.look()
    home = of_home(bases)
    assert home
    is_short = True
    bases.look()
    await eventually_async(lambda: not is_running(home))
    assert root_of(bases)
    await bases.close()


# Takes memory, and waits.
TAKES = "import sys; taken = bytearray(b'x') * (100 << 20); print(1, flush=True); sys.stdin.read()"


@pytest.fixture
async def groups() -> AsyncIterator[ControlGroups]:
    """Control groups that count memory."""
    v1, v2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    is_v1 = (v1 / "cgroup.procs").exists()
    base = (v1 if is_v1 else v2) / f"{PREFIX}{uuid4().hex}"
    try:
        usable = prepare(Hierarchy(base, frozenset({"memory"}), is_v2=not is_v1))
    except OSError:
        pytest.skip("no group can be made here")
    yield ControlGroups(Hierarchies((usable,)), Limits(), asyncio.get_running_loop())
    await eventually_async(lambda: not base.exists() or removed(base))


async def test_a_base_of_a_home_that_has_grown_is_made_anew(
    program: Program, groups: ControlGroups
) -> None:
    loop = asyncio.get_running_loop()
    bases = Bases(program, {}, Spawner(loop), lambda *_: RARE, lambda: False)
    bases.make()
    await eventually_async(lambda: has_spares(bases))
    nobody = sharing_of("a.example").home.user
    assert nobody
    group = partial(group_of_base, groups, nobody.uid)
    for domain in ("a.example", "b.example"):
        start(bases, sharing=replace(sharing_of(domain), group=group))
    await eventually_async(lambda: of_home(bases))
    [base], home = bases._of_homes.values(), of_home(bases)
    assert base._group
    [folder] = groups.folders(base._group.name)
    if memory_of(folder) is None:
        pytest.skip("no group here counts memory")
    bases.look()
    assert not base.is_old
    with in_group(folder, sys.executable, "-c", TAKES, stdin=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline()
        bases.look()
        process.kill()
    assert base.is_old
    start(bases, sharing=replace(sharing_of("a.example"), group=group))
    await eventually_async(lambda: of_home(bases) not in (0, home))
    await eventually_async(lambda: not is_running(home))
    await bases.close()
