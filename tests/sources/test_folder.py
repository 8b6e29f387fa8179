"""The folder of inis, read by a reader that knows no runtime."""

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from emperor.model import reading_budget
from emperor.model.daemon_record import Outdated
from emperor.model.refusal import RefusalReason
from emperor.model.spec import Identity
from emperor.sources import folder as folder_module
from emperor.supervisor import slices
from tests.eventually import eventually_async
from tests.sources.site import FOLLOWED, OWN, Site, site_at

# A user of Debian with a group of its own.
TENANT, TENANTS_GROUP = 5, 60


async def test_an_ini_that_has_not_changed_is_read_once(tmp_path: Path) -> None:
    async with site_at(tmp_path) as site:
        site.write("b.example", "5")
        site.folder.update("b.example.ini")
        await site.folder.rescan()
        assert site.idle("b.example") == 5
        assert site.reader.read_files == ["b.example.ini"]


async def test_each_refusal_has_its_reason(tmp_path: Path) -> None:
    async with site_at(tmp_path) as site:
        site.write("broken.example", "soon")
        site.write("BAD", "5")
        os.mkfifo(tmp_path / "pipe.example.ini")
        (tmp_path / "loop.example.ini").symlink_to("loop.example.ini")
        await site.folder.rescan()
        assert {domain: refusal.reason for domain, refusal in site.folder.refused.items()} == {
            "broken.example": RefusalReason.BROKEN_INI,
            "BAD": RefusalReason.BAD_NAME,
            "pipe.example": RefusalReason.BAD_FILE,
            "loop.example": RefusalReason.UNREADABLE,
        }
        assert site.folder.refused["broken.example"].message == (
            "cannot serve broken.example.ini: line 1: it is no number; write one"
        )


@pytest.mark.parametrize(("owner", "group"), [(0, 0), (TENANT, TENANTS_GROUP)])
@pytest.mark.parametrize("mode", [0o646, 0o666])
async def test_an_ini_that_others_can_write_is_refused(
    tmp_path: Path, owner: int, group: int, mode: int
) -> None:
    async with site_at(tmp_path) as site:
        ini = tmp_path / "b.example.ini"
        ini.write_text("5")
        os.chown(ini, owner, group)
        ini.chmod(mode)
        await site.folder.rescan()
        assert "others than its owner may write to it; chmod go-w it" in (
            site.folder.refused["b.example"].message
        )
        ini.chmod(0o664)
        await site.folder.rescan()
        assert site.idle("b.example") == 5


async def test_a_folder_that_others_can_write_is_not_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with site_at(tmp_path) as site:
        site.write("a.example", "5")
        os.chmod(tmp_path, 0o777)
        for domain, text in (("a.example", "6"), ("b.example", "7")):
            (tmp_path / f"{domain}.ini").write_text(text)
        site.folder.changed(["a.example.ini"])
        await site.folder.rescan()
        assert (site.idle("a.example"), site.idle("b.example")) == (5, None)
        cure = f"can change {tmp_path}; chown root:root {tmp_path}, chmod go-w {tmp_path}; until"
        assert caplog.text.count(cure) == 1
        os.chmod(tmp_path, 0o755)
        await site.folder.rescan()
        assert (site.idle("a.example"), site.idle("b.example")) == (6, 7)


@pytest.mark.parametrize(
    ("file", "is_logged"),
    [
        ("notes.txt", True),
        ("a.example.yaml", True),
        ("sedan.conf", True),
        ("sedGa2EPw", False),
        ("XX5k2QaB", False),
        ("a.example.ini~", False),
        (".a.example.ini.swp", False),
        (".a.example.ini.Xy12Zq", False),
        ("#a.example.ini#", False),
        ("4913", False),
    ],
)
async def test_the_draft_of_an_editor_is_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, file: str, is_logged: bool
) -> None:
    caplog.set_level("INFO", "emperord.folder")
    async with site_at(tmp_path) as site:
        (tmp_path / file).touch()
        await site.folder.rescan()
        assert not site.folder.refused
    told = [f"{file!r} is not served: it is not named DOMAIN.ini"] if is_logged else []
    assert caplog.messages == told


async def test_a_mended_ini_is_served(tmp_path: Path) -> None:
    async with site_at(tmp_path) as site:
        site.write("b.example", "soon")
        site.write("b.example", "5")
        assert site.idle("b.example") == 5
        assert not site.folder.refused


async def test_a_pending_spec_is_served_once_it_is_complete(tmp_path: Path) -> None:
    async with site_at(tmp_path) as site:
        site.write("b.example", "slow 5")
        assert site.idle("b.example") is None
        assert site.folder.has("b.example")
        assert not site.folder.has("c.example")
        site.reader.answer.set()
        await eventually_async(lambda: site.idle("b.example") == 5)


@pytest.mark.parametrize("text", ["slow 5", "slow soon"])
async def test_a_pending_spec_of_an_older_ini_is_dropped(tmp_path: Path, text: str) -> None:
    async with site_at(tmp_path) as site:
        site.write("b.example", text)
        await asyncio.sleep(0)
        site.write("b.example", "77")
        site.reader.answer.set()
    assert site.idle("b.example") == 77
    assert not site.folder.refused


async def test_an_ini_that_changes_all_the_time_waits_once(tmp_path: Path) -> None:
    async with site_at(tmp_path) as site:
        for number in range(20):
            site.write("b.example", f"slow {number}")
            await asyncio.sleep(0)
        await eventually_async(lambda: site.reader.waiting == 1)
        site.reader.answer.set()
        await eventually_async(lambda: site.idle("b.example") == 19)
        assert site.reader.most_waiting == 1


DOMAINS = [f"app{number}.example" for number in range(60)]


@pytest.fixture
def one_in_each_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0.0)


async def most_in_a_turn(site: Site, is_done: Callable[[], bool]) -> int:
    """The most inis that are read, or vassals that come or go, between two turns of the loop."""
    vassals = site.world.governor.vassals
    most, before = 0, (len(site.reader.read_files), len(vassals))
    while not is_done():
        await asyncio.sleep(0)
        now = (len(site.reader.read_files), len(vassals))
        most = max(most, now[0] - before[0], abs(now[1] - before[1]))
        before = now
    return most


@pytest.mark.usefixtures("one_in_each_slice")
@pytest.mark.parametrize("way", ["changed", "rescan"])
async def test_many_changes_leave_turns_to_the_loop(tmp_path: Path, way: str) -> None:
    async with site_at(tmp_path) as site:
        for domain in DOMAINS:
            (tmp_path / f"{domain}.ini").write_text("5")
        if way == "changed":
            site.folder.changed(f"{domain}.ini" for domain in DOMAINS)
        else:
            rescan = asyncio.create_task(site.folder.rescan())
        assert await most_in_a_turn(site, lambda: all(map(site.idle, DOMAINS))) == 1
        if way == "rescan":
            await rescan


@pytest.mark.usefixtures("one_in_each_slice")
async def test_many_removals_leave_turns_to_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_module, "GRACE_SECONDS", 0.01)
    async with site_at(tmp_path) as site:
        for domain in DOMAINS:
            site.write(domain, "5")
        for domain in DOMAINS:
            (tmp_path / f"{domain}.ini").unlink()
        site.folder.changed(f"{domain}.ini" for domain in DOMAINS)
        assert await most_in_a_turn(site, lambda: not any(map(site.idle, DOMAINS))) == 1


@pytest.mark.usefixtures("one_in_each_slice")
async def test_a_question_is_answered_amid_many_changes(tmp_path: Path) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"serving")
        writer.close()

    async with site_at(tmp_path) as site:
        for domain in DOMAINS:
            (tmp_path / f"{domain}.ini").write_text("5")
        async with await asyncio.start_unix_server(answer, tmp_path / "socket"):
            site.folder.changed(f"{domain}.ini" for domain in DOMAINS)
            reader, writer = await asyncio.open_unix_connection(tmp_path / "socket")
            assert await reader.read() == b"serving"
            writer.close()
            assert not all(map(site.idle, DOMAINS)), "it was not answered afterwards"
            await eventually_async(lambda: all(map(site.idle, DOMAINS)))


async def test_an_ini_that_is_back_in_time_was_never_gone(tmp_path: Path) -> None:
    async with site_at(tmp_path) as site:
        site.write("b.example", "5")
        (tmp_path / "b.example.ini").unlink()
        site.folder.update("b.example.ini")
        site.write("b.example", "7")
        await asyncio.sleep(folder_module.GRACE_SECONDS * 1.5)
        assert site.idle("b.example") == 7
        (tmp_path / "b.example.ini").unlink()
        site.folder.update("b.example.ini")
        assert site.idle("b.example") == 7, "the time begins anew"
        await eventually_async(lambda: site.idle("b.example") is None)


async def test_a_broken_ini_that_goes_before_a_rescan_ends_its_app(tmp_path: Path) -> None:
    async with site_at(tmp_path) as site:
        site.write("b.example", "5")
        site.write("b.example", "broken")
        assert site.idle("b.example") == 5, "the previous version stays in service"
        (tmp_path / "b.example.ini").unlink()
        await site.folder.rescan()
        await eventually_async(lambda: site.idle("b.example") is None)


async def test_after_other_settings_all_inis_are_read_again(tmp_path: Path) -> None:
    async with site_at(tmp_path) as site:
        site.write("b.example", "5")
        site.folder.resume(Outdated.ALL)
        await site.folder.rescan()
        await site.folder.rescan()
        assert site.reader.read_files == ["b.example.ini"] * 2


async def test_a_setting_that_specs_take_needs_no_reading(tmp_path: Path) -> None:
    async with site_at(tmp_path) as site:
        for domain, idle in (("b.example", 5), ("own.example", OWN), ("mended.example", 6)):
            site.write(domain, str(idle))
        site.write("mended.example", "broken")
        site.reader.read_files.clear()
        site.folder.resume(Outdated.TAKEN)
        (tmp_path / "mended.example.ini").write_text("7")
        await site.folder.rescan()
        assert sorted(site.reader.read_files) == ["mended.example.ini", "own.example.ini"]
        vassals = site.world.governor.vassals
        assert vassals["b.example"].spec.start_timeout == FOLLOWED
        assert site.idle("b.example") == 5
        assert site.idle("mended.example") == 7


async def test_an_app_that_runs_is_reloaded_by_such_a_setting(tmp_path: Path) -> None:
    async with site_at(tmp_path) as site:
        site.write("b.example", "5")
        vassal = site.world.governor.vassals["b.example"]
        site.world.hit(vassal)
        site.world.launcher.last.accepts()
        site.folder.resume(Outdated.TAKEN)
        await site.folder.rescan()
        assert vassal.state.value == "reloading"
        assert vassal.spec.start_timeout == FOLLOWED
        assert site.reader.read_files == ["b.example.ini"]


async def test_other_defaults_later_have_all_inis_read(tmp_path: Path) -> None:
    async with site_at(tmp_path) as site:
        site.write("b.example", "5")
        site.folder.resume(Outdated.TAKEN)
        site.folder.outdate()
        await site.folder.rescan()
        assert site.reader.read_files == ["b.example.ini"] * 2


async def test_inis_that_are_unknown_are_read_before_the_others(tmp_path: Path) -> None:
    async with site_at(tmp_path) as site:
        site.write("b.example", "5")
        site.folder.resume(Outdated.ALL)
        for domain in ("c.example", "broken.example"):
            (tmp_path / f"{domain}.ini").write_text("5" if domain == "c.example" else "soon")
        await site.folder.read_unknown()
        assert site.reader.read_files[1:] == ["broken.example.ini", "c.example.ini"]
        assert site.idle("c.example") == 5
        assert site.folder.refused


async def test_the_aliases_of_an_ini_are_known_before_it_is_served(tmp_path: Path) -> None:
    async with site_at(tmp_path) as site:
        for text in ("broken for www.example", "slow 7 for www.example x.example"):
            site.write("a.example", text)
            assert site.folder.with_alias("www.example") == "a.example"
            assert "www.example" in site.world.listeners.unlinked, "no wildcard has it any more"
        assert site.folder.with_alias("x.example") == "a.example"
        site.write("b.example", "broken for x.example")
        site.write("a.example", "7")
        assert site.folder.with_alias("www.example") is None
        assert site.folder.with_alias("x.example") == "b.example"
        site.write("b.example", "7")
        assert site.folder.with_alias("x.example") is None
        site.reader.answer.set()


async def test_an_ini_that_changes_all_the_time_is_read_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading_budget, "_GROWTH", 1.0)
    monkeypatch.setattr(reading_budget, "_CREDIT_SECONDS", 0.2)
    async with site_at(tmp_path) as site:
        for idle in range(1, 101):
            site.write("a.example", str(idle))
        site.write("b.example", "7")
        assert len([file for file in site.reader.read_files if file == "a.example.ini"]) < 40
        assert site.idle("b.example") == 7, "it costs no other"
        await eventually_async(lambda: site.idle("a.example") == 100)


async def test_what_was_kept_of_inis_that_are_gone_is_dropped(tmp_path: Path) -> None:
    async with site_at(tmp_path) as site:
        domains = [f"app{number}.example" for number in range(5)]
        for domain in domains:
            site.write(domain, "5")
        for domain in domains[1:]:
            (tmp_path / f"{domain}.ini").unlink()
        await site.folder.rescan()
        store = site.world.store
        await eventually_async(lambda: store.entries.keys().isdisjoint(domains[1:]))
        assert domains[0] in store.entries


@pytest.mark.parametrize("text", ["5", "slow 5"])
async def test_an_ini_that_a_fault_kept_from_service_is_read_again(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with site_at(tmp_path) as site:
        site.reader.answer.set()
        site.reader.fault = RuntimeError("a bug")
        site.write("b.example", text)
        await eventually_async(lambda: "b.example" in site.folder.refused)
        refusal = site.folder.refused["b.example"]
        assert refusal.reason is RefusalReason.FAULT
        assert refusal.message == (
            "cannot read b.example.ini: a fault in emperord; its log has the traceback"
        )
        assert caplog.records[0].exc_info
        site.reader.fault = None
        await site.folder.rescan()
        await eventually_async(lambda: site.idle("b.example") == 5)
        assert not site.folder.refused


async def test_a_fault_leaves_the_version_before_in_service(tmp_path: Path) -> None:
    async with site_at(tmp_path) as site:
        site.write("b.example", "5")
        site.reader.fault = RuntimeError("a bug")
        site.write("b.example", "6")
        vassal = site.world.governor.vassals["b.example"]
        assert "a fault in emperord" in (vassal.ini_error or "")
        site.reader.fault = None
        await site.folder.rescan()
        assert site.idle("b.example") == 6
        assert vassal.ini_error is None


async def test_a_fault_that_cannot_be_told_ends_no_reading(tmp_path: Path) -> None:
    async with site_at(tmp_path) as site:
        site.reader.fault = RuntimeError("a bug")
        site.folder.tell_changes(lambda _: None, lambda domain: [][len(domain)])
        site.write("b.example", "5")
        assert "b.example" in site.folder.refused


@pytest.mark.parametrize("text", ["6", "slow 6"])
@pytest.mark.parametrize("fault", [RuntimeError("a bug"), OSError(errno.EMFILE, "Too many open")])
async def test_an_unread_ini_of_another_tenant_ends_the_app(
    tmp_path: Path, fault: Exception, text: str
) -> None:
    async with site_at(tmp_path) as site:
        site.reader.answer.set()
        site.reader.identity = Identity(1001, 1001, "mallory")
        site.write("b.example", "5")
        site.reader.fault = fault
        ini = tmp_path / "b.example.ini"
        ini.write_text(text)
        os.chown(ini, 1002, 1002)
        site.folder.update(ini.name)
        await eventually_async(lambda: site.idle("b.example") is None)
        assert site.folder.refused["b.example"].owner == 1002


@pytest.mark.parametrize("text", ["5", "slow 5"])
async def test_a_lack_of_descriptors_reloads_no_app(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with site_at(tmp_path) as site:
        site.reader.answer.set()
        site.write("a.example", text)
        await eventually_async(lambda: site.idle("a.example") == 5)
        vassal = site.world.vassal
        site.world.run()
        site.reader.fault = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        site.folder.read_anew(["a.example.ini"])
        await eventually_async(lambda: vassal.ini_error is not None)
        assert vassal.ini_error == "cannot read a.example.ini: Too many open files"
        assert not any(record.exc_info for record in caplog.records)
        site.reader.fault = None
        before = site.world.actions.copy()
        await site.folder.rescan()
        await eventually_async(lambda: vassal.ini_error is None)
        assert site.world.actions == before
        assert site.folder.refused == {}
