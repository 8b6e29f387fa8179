"""The real uWSGI resolves inis that we cannot read alone, without a side effect."""

import asyncio
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from emperor.handover.gate import Gate
from emperor.model.definition import BrokenIni
from emperor.model.spec import Identity
from emperor.uwsgi.ini import Ini
from emperor.uwsgi.plugins import Plugins
from emperor.uwsgi.resolver import AT_ONCE, CannotResolve, Resolver
from tests.eventually import PATIENCE_SECONDS, eventually_async
from tests.traces import public_folder
from tests.uwsgi.oracle import UWSGI
from tests.uwsgi.written import NAME, write

NOBODY = pwd.getpwnam("nobody")
AS_NOBODY = Identity(NOBODY.pw_uid, NOBODY.pw_gid, NOBODY.pw_name)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of inis that every user may enter, as /etc/uwsgi/vassals is."""
    with public_folder() as folder:
        yield folder


async def resolve(folder: Path, text: str, identity: Identity | None = None) -> Ini:
    return await Resolver(UWSGI, folder, Gate()).resolve(write(folder, text), identity)


def values(ini: Ini, key: str) -> list[tuple[str, int]]:
    return [(option.value, option.line) for option in ini.options if option.key == key]


async def test_placeholders_of_each_kind_are_resolved(folder: Path) -> None:
    (folder / "idle.txt").write_text("600\n")
    ini = await resolve(
        folder, "name = %n\nsocket = /var/$(USER)/%(name)/socket\nidle = @(idle.txt)\nlisten = %k"
    )
    assert values(ini, "socket") == [("/var/root/www.a.example/socket", 3)]
    assert values(ini, "idle") == [("600", 4)]
    assert values(ini, "listen") == [(str(os.cpu_count()), 5)]
    assert ini.needs_uwsgi is None


async def test_options_of_other_files_keep_the_order_of_uwsgi(
    folder: Path,
) -> None:
    (folder / "base.ini").write_text("[uwsgi]\nidle = 1\nsocket = /run/%n.sock\n")
    (folder / "late.ini").write_text("[uwsgi]\nidle = 2\n")
    ini = await resolve(
        folder,
        "include = base.ini\ninherit = late.ini\nidle = 3\nif-env = NO_SUCH\nidle = 4\nendif =\n"
        "for = a b\nsocket = /run/%(_).sock\nendfor =\nset = idle=5",
    )
    assert values(ini, "idle") == [("1", 0), ("3", 4), ("5", 0), ("2", 0)]
    assert [path for path, _ in values(ini, "socket")] == [
        "/run/base.sock", "/run/a.sock", "/run/b.sock",
    ]  # fmt: skip


async def test_the_section_emperor_and_the_quoted_socket_are_kept(folder: Path) -> None:
    ini = write(folder, "set = a=b\nstats = %(socket).stats\n[emperor]\nidle = 5")
    resolved = await Resolver(UWSGI, folder, Gate()).resolve(ini, None)
    assert (resolved.emperor, resolved.quotes_socket) == (ini.emperor, True)


async def test_no_value_can_pass_for_another_option(folder: Path) -> None:
    hostile = "a\nsocket = /run/evil.sock\n;end of configuration\n\n01234567 - idle = 9"
    (folder / "text").write_text(hostile)
    ini = await resolve(folder, "set = x=1\nmotd = @(text)\nlog-date = %%Y\nprocname = = a = b")
    assert values(ini, "motd") == [(hostile, 3)]
    assert values(ini, "procname") == [("= a = b", 5)]
    assert not values(ini, "socket") + values(ini, "idle")


SIDE_EFFECTS = """
exec-asap = touch {0}/exec-asap
hook-asap = exec:touch {0}/hook-asap
hook-asap = write:{0}/written x
call-asap = no_such_function
exec-pre-jail = touch {0}/exec-pre-jail
hook-pre-jail = exec:touch {0}/hook-pre-jail
exec-as-root = touch {0}/exec-as-root
exec-atexit = touch {0}/exec-atexit
hook-atexit = exec:touch {0}/hook-atexit
exec-as-user-atexit = touch {0}/exec-as-user-atexit
file-write = {0}/file-write=x
mount-asap = tmpfs none {0}
daemonize = {0}/daemonize
logto2 = {0}/logto2
pidfile = {0}/pid
pidfile2 = {0}/pid2
stats = {0}/stats
master-fifo = {0}/fifo
touch-reload = {0}/touch
vacuum = true
socket = {0}/%(name).sock
name = a
"""


async def test_resolving_has_no_side_effects(folder: Path) -> None:
    world = folder / "world"
    world.mkdir()
    (world / "pid").write_text("4711")
    (world / "stats").write_text("")
    before = world.stat().st_mtime_ns
    ini = await resolve(folder, SIDE_EFFECTS.format(world))
    assert [path for path, _ in values(ini, "socket")] == [f"{world}/a.sock"]
    assert sorted(os.listdir(world)) == ["pid", "stats"]
    assert (world / "pid").read_text() == "4711"
    assert world.stat().st_mtime_ns == before


async def test_an_ini_that_uwsgi_refuses_has_no_side_effects(folder: Path) -> None:
    world = folder / "world"
    world.mkdir()
    (world / "pid").write_text("4711")
    (world / "stats").write_text("")
    with pytest.raises(BrokenIni, match="invalid cron syntax"):
        await resolve(folder, SIDE_EFFECTS.format(world) + "cron = 0 3 * * * true")
    assert sorted(os.listdir(world)) == ["pid", "stats"]


@pytest.mark.parametrize(
    ("text", "side_effect"),
    [
        ("idle = @(exec://touch X)", "line 2: idle = @(exec://touch X)"),
        ("set = x=1\nmotd = a @(exec://touch X)", "line 3: motd = a @(exec://touch X)"),
        ("include = exec://touch X", "line 2: include = exec://touch X"),
        ("for = exec://touch\ninclude = %(_)\nendfor =", "line 2: for = exec://touch"),
        ("inherit = callint://abort", "line 2: inherit = callint://abort"),
        ("idle = @(call://abort)", "line 2: idle = @(call://abort)"),
        ("ini = http://127.0.0.1:9/a.ini", "line 2: ini = http://127.0.0.1:9/a.ini"),
        ("idle = @(http://127.0.0.1:9/)", "line 2: idle = @(http://127.0.0.1:9/)"),
        ("set = x=1\nplugin = ./evil", "line 3: plugin = ./evil"),
        ("set = x=1\nplugins-dir = /tmp/", "line 3: plugins-dir = /tmp/"),
        ("set = x=1\nstop = /run/a.pid", "line 3: stop = /run/a.pid"),
        ("include = base.ini", "line 3 of {0}/base.ini"),
        ("ini = :more\n[more]\nmotd = @(exec://touch X)", "line 4: motd = @(exec://touch X)"),
    ],
)
async def test_an_ini_with_side_effects_is_refused_unread(
    folder: Path, text: str, side_effect: str
) -> None:
    (folder / "base.ini").write_text("[uwsgi]\n; exec://\nmotd = @(exec://touch X)\n")
    (folder / "evil_plugin.so").write_text("")
    with pytest.raises(BrokenIni) as broken:
        await resolve(folder, text)
    message = f"{side_effect.format(folder)} would act when uWSGI reads the ini, which line 2"
    assert str(broken.value).startswith(message)
    assert not (folder / "X").exists()


async def test_an_ini_that_only_looks_dangerous_is_resolved(folder: Path) -> None:
    os.mkfifo(folder / "base.ini")
    ini = await resolve(
        folder,
        "set = x=1\n; exec://x\nenv = URL=http://x/\nroute-run = redirect:http://x/\nplugin = x\n"
        "[emperor]\nreload = restart",
    )
    assert values(ini, "env") == [("URL=http://x/", 4)]


async def test_the_judged_text_is_read_and_not_the_file(folder: Path) -> None:
    ini = write(folder, "set = x=%(x)%n\nidle = 1")
    (folder / NAME).write_text("[uwsgi]\nidle = 2\n")
    resolved = await Resolver(UWSGI, folder, Gate()).resolve(ini, AS_NOBODY)
    assert values(resolved, "idle") == [("1", 3)]
    (folder / NAME).unlink()
    os.mkfifo(folder / NAME)
    assert await Resolver(UWSGI, folder, Gate()).resolve(ini, None) == resolved


@pytest.mark.parametrize("letter", "DPOC")
async def test_an_include_that_asks_for_the_folder_is_refused(folder: Path, letter: str) -> None:
    (folder / "base.ini").write_text(f"[uwsgi]\nprocname = at %N\nlogto = x%{letter}x\n")
    with pytest.raises(BrokenIni, match=f"includes says %D, .* in logto, .*; write {folder} there"):
        await resolve(folder, "include = base.ini")


async def test_an_ini_is_resolved_as_the_user_of_the_vassal(folder: Path) -> None:
    (folder / "secret").write_text("/run/secret.sock")
    (folder / "secret").chmod(0o600)
    ini = await resolve(folder, "socket = /run/%U-%G.sock", AS_NOBODY)
    assert [path for path, _ in values(ini, "socket")] == ["/run/nobody-nogroup.sock"]
    with pytest.raises(BrokenIni, match=r"uWSGI refuses it \(exit status 1\): .*secret"):
        await resolve(folder, "socket = @(secret)", AS_NOBODY)


async def test_the_environment_of_the_daemon_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UWSGI_IDLE", "9")
    monkeypatch.setenv("NOTIFY_SOCKET", str(folder / "no-such-socket"))
    assert not values(await resolve(folder, "set = x=1"), "idle")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("include = missing.ini", "realpath() of missing.ini failed: No such file or directory"),
        ("set = strict=true\nsokcet = x", "[strict-mode] unknown config directive: sokcet"),
        ("set = x=1\nlisten = -1", 'invalid value for option "listen": must be > 0'),
    ],
)
async def test_an_ini_that_uwsgi_refuses_has_its_error_and_line(
    folder: Path, text: str, cause: str
) -> None:
    with pytest.raises(BrokenIni) as broken:
        await resolve(folder, text)
    assert broken.value.cause.startswith(f"uWSGI refuses it (exit status 1): {cause}")
    assert broken.value.line == 1 + len(text.splitlines())


async def test_an_ini_whose_options_are_not_printed_is_broken(folder: Path) -> None:
    with pytest.raises(BrokenIni, match=r"^uWSGI does not print the options; drop"):
        await resolve(folder, "set = x=1\nhelp = true")


@pytest.mark.parametrize("block", ["if-env = NO_SUCH", "if-env = PATH", "for = a b"])
async def test_an_open_block_ends_with_its_ini(folder: Path, block: str) -> None:
    (folder / "open.ini").write_text(f"[uwsgi]\n{block}\nidle = 1\n")
    times = {"if-env = NO_SUCH": 0, "if-env = PATH": 1, "for = a b": 2}[block]
    text = f"log-date = x\n{block}\nidle = 1"
    assert values(await resolve(folder, text), "idle") == [("1", 4)] * min(times, 1) + [
        ("1", 0)
    ] * (times - 1)
    assert len(values(await resolve(folder, "include = open.ini"), "idle")) == times


async def test_plugins_of_roots_are_no_side_effect(folder: Path) -> None:
    for plugins in ("/usr/lib", "/usr/lib/no/such/plugins"):
        text = f"plugins-dir = {plugins}\nplugins = python3\nif-env = PATH\nidle = 1\nendif ="
        assert values(await resolve(folder, text), "idle") == [("1", 5)]
    own = folder / "own"
    own.mkdir()
    os.chown(own, NOBODY.pw_uid, NOBODY.pw_gid)
    for plugins in (f"{own}", f"{own}/later", f"{folder}/$(HOME)", "/tmp/later", "../lib"):
        with pytest.raises(BrokenIni, match="would act when uWSGI reads the ini"):
            await resolve(folder, f"plugins-dir = {plugins}\nif-env = PATH\nendif =")


async def test_an_open_block_hides_nothing(folder: Path) -> None:
    assert values(await resolve(folder, "socket = /s\nif-env = NO_SUCH"), "socket") == [("/s", 2)]


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


async def test_a_uwsgi_that_does_not_answer_in_time_is_killed(folder: Path) -> None:
    os.mkfifo(folder / "base.ini")
    ini = write(folder, "include = base.ini")
    with pytest.raises(BrokenIni, match=r"^line 2: .* include: it gave no answer within 0.2 s"):
        await Resolver(UWSGI, folder, Gate(), 0.2).resolve(ini, None)
    assert not children()


async def test_a_uwsgi_is_killed_when_its_caller_is_cancelled(folder: Path) -> None:
    os.mkfifo(folder / "base.ini")
    fds = len(os.listdir("/proc/self/fd"))
    tasks = asyncio.create_task(
        Resolver(UWSGI, folder, Gate(), PATIENCE_SECONDS).resolve(
            write(folder, "ini = base.ini"), None
        )
    )
    await eventually_async(lambda: any("uwsgi" in child.name() for child in children()))
    tasks.cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks
    assert not children()
    await asyncio.sleep(0)
    assert len(os.listdir("/proc/self/fd")) == fds


async def test_an_answer_without_an_end_is_refused(folder: Path) -> None:
    ini = write(folder, f"for-times = 100\nmotd = {'x' * 50_000}\nendfor =")
    with pytest.raises(BrokenIni, match="its answer has no end; look for a for-times"):
        await Resolver(UWSGI, folder, Gate()).resolve(ini, None)
    assert not children()


async def test_only_a_few_inis_are_resolved_at_once(folder: Path) -> None:
    os.mkfifo(folder / "base.ini")
    ini = write(folder, "include = base.ini")
    resolver = Resolver(UWSGI, folder, Gate(), 0.2)
    tasks = [asyncio.create_task(resolver.resolve(ini, None)) for _ in range(3 * AT_ONCE)]
    most = 0
    while not all(task.done() for task in tasks):
        most = max(most, len(children()))
        await asyncio.sleep(0)
    assert most == AT_ONCE
    assert all(isinstance(task.exception(), BrokenIni) for task in tasks)


async def test_a_closed_gate_waits_for_running_uwsgi_alone(folder: Path) -> None:
    os.mkfifo(folder / "base.ini")
    ini = write(folder, "include = base.ini")
    gate = Gate()
    resolver = Resolver(UWSGI, folder, gate, 0.5)
    tasks = [asyncio.create_task(resolver.resolve(ini, None)) for _ in range(2 * AT_ONCE)]
    await eventually_async(lambda: len(children()) == AT_ONCE)
    async with gate.closed():
        assert not children()
        assert sum(task.done() for task in tasks) <= AT_ONCE
    refusals = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(refusal, BrokenIni) for refusal in refusals)


async def test_the_loop_is_not_blocked_meanwhile(folder: Path) -> None:
    ini = write(folder, "set = x=1")
    resolver = Resolver(UWSGI, folder, Gate())
    tasks = asyncio.create_task(resolver.resolve(ini, None))
    turns = 0
    while not tasks.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 10
    await tasks


async def test_a_missing_uwsgi_is_named(folder: Path) -> None:
    resolver = Resolver(folder / "no-uwsgi", folder, Gate())
    with pytest.raises(BrokenIni, match=r"^line 2: uWSGI must resolve set: env: .*no-uwsgi"):
        await resolver.resolve(write(folder, "set = x=1"), None)


async def test_uwsgi_lists_the_options_it_knows(folder: Path) -> None:
    assert {"socket", "wsgi-file", "die-on-idle"} < await Resolver(UWSGI, folder, Gate()).options()
    with pytest.raises(CannotResolve, match="no-uwsgi"):
        await Resolver(folder / "no-uwsgi", folder, Gate()).options()
    with pytest.raises(CannotResolve, match="no-folder"):
        await Resolver(UWSGI, folder / "no-folder", Gate()).options()


async def test_it_is_killed_before_all_others_where_memory_ends(tmp_path: Path) -> None:
    program = tmp_path / "uwsgi"
    program.write_text("#!/bin/sh\ncat /proc/self/oom_score_adj\n")
    program.chmod(0o755)
    _, printed = await Resolver(program, tmp_path, Gate()).rehearse([], Plugins(), None)
    assert printed == "1000\n"
