import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from emperor.handover.gate import Gate
from emperor.model.definition import BrokenIni, Definition, FileOwner
from emperor.model.settings import Settings
from emperor.model.spec import Repeat, Spec
from emperor.uwsgi.defaults import DefaultsFile
from emperor.uwsgi.findings import Severity
from emperor.uwsgi.lint import lint, refuse_unservable
from emperor.uwsgi.reader import UwsgiReader, in_thread
from emperor.uwsgi.resolver import Resolver
from tests.uwsgi.house import ALICE, AS_ROOT, DOMAIN, ROOT, SETTINGS, ini_of, spec

SOMAXCONN = 4096


def reader_by(settings: Settings) -> UwsgiReader:
    resolver = Resolver(Path("/bin/false"), Path("/"), Gate())
    defaults = DefaultsFile(settings.vassal_defaults).load()
    return UwsgiReader(settings, AS_ROOT, resolver, SOMAXCONN, defaults)


@pytest.fixture
def reader() -> UwsgiReader:
    return reader_by(SETTINGS)


def definition(text: str) -> Definition:
    data = f"[uwsgi]\n{text}".encode()
    return Definition(DOMAIN, f"{DOMAIN}.ini", "/etc/uwsgi/vassals", data, ROOT)


def test_a_small_ini_is_read_at_once(reader: UwsgiReader) -> None:
    assert isinstance(reader.read(definition("file = a.py\n" + "a = b\n" * 400)), Spec)


OTHERS = replace(
    SETTINGS, start_timeout=7.0, stop_timeout=8.0, repeat=Repeat.SAFE, no_new_privs=False
)


@pytest.mark.parametrize(
    ("text", "is_enough"),
    [
        ("file = a.py", True),
        ("module = a\nlisten = 9", True),
        ("file = a.py\n[emperor]\nidle = 5\nuid = alice", True),
        ("file = a.py\n[emperor]\nstart-timeout = 60", False),
        ("file = a.py\n[emperor]\nrepeat = never", False),
        ("file = a.py\n[emperor]\nstart%\n-timeout = 60", False),
        ("file = %n.py", False),
    ],
)
@pytest.mark.parametrize("owner", [ROOT, ALICE], ids=["root", "alice"])
def test_a_spec_that_follows_is_as_one_read_anew(
    reader: UwsgiReader, text: str, is_enough: bool, owner: FileOwner
) -> None:
    written, later = replace(definition(text), owner=owner), reader_by(OTHERS)
    before, anew = reader.read(written), later.read(written)
    assert isinstance(before, Spec)
    assert before != anew
    assert later.follow(written.data, before) == (anew if is_enough else None)


@pytest.mark.parametrize("more", ["a = b\n" * 501, f"a = {'b' * 8192}\n"], ids=["lines", "bytes"])
async def test_a_large_ini_is_read_in_a_thread(reader: UwsgiReader, more: str) -> None:
    pending = reader.read(definition(f"file = a.py\n{more}"))
    assert not isinstance(pending, Spec)
    assert await pending() == spec("file = a.py")


async def test_a_cancelled_reading_ends_with_its_thread() -> None:
    began, goes_on = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        goes_on.wait()

    reading = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(began.wait)
    reading.cancel()
    done, _ = await asyncio.wait([reading], timeout=0.05)
    assert not done
    goes_on.set()
    await asyncio.wait([reading])
    assert reading.cancelled()


async def test_a_large_ini_that_cannot_serve_is_refused(reader: UwsgiReader) -> None:
    pending = reader.read(definition("a = b\n" * 501))
    assert not isinstance(pending, Spec)
    with pytest.raises(BrokenIni, match="it names no app"):
        await pending()


@pytest.mark.parametrize(
    "text",
    [
        "threads = 2", "static-map = /=a", "file =\npyrun = a",
        "file = a\nzerg = b\nversion = true",
        "file = a\nhttp-socket = :1\nlisten = 99999", "json = a.json",
        "file = a\nmax-fd = 3\n[emperor]\nstart-timeout = 1ms",
    ],
)  # fmt: skip
def test_the_daemon_refuses_for_the_first_error_of_check(text: str) -> None:
    ini, its_spec = ini_of(text), spec(text)
    findings = lint(ini, its_spec, SETTINGS, SOMAXCONN)
    first = next(each for each in findings if each.severity is Severity.ERROR)
    with pytest.raises(BrokenIni) as refused:
        refuse_unservable(ini, its_spec, SETTINGS, SOMAXCONN)
    assert (refused.value.line, refused.value.cause) == (first.line, first.text)


@pytest.mark.parametrize(
    ("text", "aliases"),
    [
        ("file = a.py\n[emperor]\naliases = b.example, _.c.example b.example",
         ("b.example", "_.c.example")),
        ("module\n[emperor]\nuid = nobody-of-that-name\naliases = b.example", ("b.example",)),
        ("[emperor\naliases = b.example", ("b.example",)),
        ("[ Emperor ]\naliases=b.example", ("b.example",)),
        ("[emperor]\naliases = b.example\n\0\0", ("b.example",)),
        ("[emperor]\naliases = b.example\naliases = Not/a/host c.example", ("c.example",)),
        ("aliases = b.example", ()),
        ("[emperor]\n; aliases = b.example", ()),
    ],
)  # fmt: skip
def test_the_aliases_of_a_broken_ini_are_known(
    reader: UwsgiReader, text: str, aliases: tuple[str, ...]
) -> None:
    made = definition(text)
    assert reader.aliases(made) == aliases
    assert reader.aliases(replace(made, owner=ALICE)) == ()
    granted = frozenset(aliases[1:])
    assert reader.aliases(replace(made, owner=ALICE, granted=granted)) == aliases[1:]
