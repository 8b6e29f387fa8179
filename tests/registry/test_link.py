"""The connection of a daemon to the registry, on a real etcd."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from emperor.model.registry_access import RegistryAccess
from emperor.registry import etcd_members
from emperor.registry import link as link_module
from emperor.registry.etcd import Etcd
from emperor.registry.etcd_http import CONNECTIONS_TO_A_MEMBER, Question
from emperor.registry.etcd_members import RANGE
from emperor.registry.link import Link
from emperor.registry.port import Connection
from emperor.registry.usable_access import usable_access
from tests.etcd_cluster import EtcdCluster, etcd_cluster
from tests.eventually import eventually_async

# More than there are connections to a member.
MANY = 2 * CONNECTIONS_TO_A_MEMBER


@pytest.fixture(scope="module")
def cluster() -> Iterator[EtcdCluster]:
    with etcd_cluster() as running:
        yield running


async def test_all_get_the_same_connection(cluster: EtcdCluster, tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as tasks:
        link = Link(cluster.access_file(tmp_path / "registry.ini"), tasks)
        first, second = await asyncio.gather(link.connection(), link.connection())
        assert first is second
        await first.engine.grant(5)
        await link.close()


async def test_a_file_that_cannot_be_read_is_waited_for(
    cluster: EtcdCluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "registry.ini"
    async with asyncio.TaskGroup() as tasks:
        link = Link(file, tasks)
        waiting = [tasks.create_task(_connection(link)) for _ in range(2)]
        await eventually_async(lambda: "cannot read" in link.reachability.why)
        waiting[0].cancel()
        cluster.access_file(file)
        assert await waiting[1]
        await link.close()
    assert caplog.text.count("cannot use the registry") == 1


async def _connection(link: Link) -> Connection:
    return await link.connection()


async def test_a_link_that_nobody_needs_closes(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as tasks:
        await Link(tmp_path / "none", tasks).close()


async def test_reads_that_hang_do_not_hold_up_a_renewal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that answers renewals alone: on a real one both would hang."""
    monkeypatch.setattr(etcd_members, "Question", partial(Question, seconds=3600.0))
    asked, lease = Counter[str](), 1

    async def answer(request: web.Request) -> web.Response:
        asked[request.path] += 1
        if request.path == RANGE:
            await asyncio.Event().wait()
        return web.json_response({"result": {"TTL": "10"}})

    member = TestServer(web.Application())
    member.app.router.add_post("/{path:.*}", answer)
    async with (
        member,
        Etcd(RegistryAccess((str(member.make_url("")).rstrip("/"),))) as engine,
        asyncio.TaskGroup() as tasks,
    ):
        reads = [tasks.create_task(engine.get("/emperord/a")) for _ in range(MANY)]
        await eventually_async(lambda: asked[RANGE] == CONNECTIONS_TO_A_MEMBER)
        assert await engine.renew(lease)
        for read in reads:
            read.cancel()


async def test_it_tells_how_the_file_differs_from_what_is_in_use(
    cluster: EtcdCluster, tmp_path: Path
) -> None:
    file = cluster.access_file(tmp_path / "registry.ini")
    text = await asyncio.to_thread(file.read_text)
    async with asyncio.TaskGroup() as tasks:
        link = Link(file, tasks)
        await link.connection()
        assert (link.refusal(), link.news()) == ("", None)
        for change, told in (
            ("\nprefix = /other\n", "cannot use the prefix /other of "),
            ("\nsigners-file = /nonexistent\n", "cannot read signers-file /nonexistent"),
            ("\ncert-file = /no.pem\nkey-file = /no.key\n", "and /no.pem and /no.key, which "),
            ("\nwrong\n", "what was read before is still in use"),
        ):
            await asyncio.to_thread(file.write_text, text + change)
            assert told in (link.news() or "")
            assert link.refusal()
        await asyncio.to_thread(file.write_text, f"{text}signer-key-file = /another\n")
        assert "`systemctl reload emperord` takes it up" in (link.news() or "")
        assert link.refusal() == ""
        await asyncio.to_thread(file.write_text, text)
        assert link.news() is None
        await link.close()


async def test_a_connection_is_opened_after_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(link_module, "_RETRY_SECONDS", (0.01, 0.02))

    def faulty(_file: Path) -> RegistryAccess:
        monkeypatch.undo()
        raise ZeroDivisionError

    file = tmp_path / "registry.ini"
    file.write_text("[registry]\nendpoints = http://127.0.0.1:1\n")
    monkeypatch.setattr(link_module, "load_access", faulty)
    async with asyncio.TaskGroup() as tasks:
        link = Link(file, tasks)
        assert await link.connection()
        await link.close()
    assert "cannot keep a connection to the registry: a fault in emperord" in caplog.text


async def test_a_file_that_changes_while_it_is_judged_is_judged_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "registry.ini"
    text = "[registry]\nendpoints = http://127.0.0.1:1\n"
    file.write_text(text)

    def read_before_a_change(file: Path) -> RegistryAccess:
        access = usable_access(file)
        file.write_text("wrong\n")
        return access

    async with asyncio.TaskGroup() as tasks:
        link = Link(file, tasks)
        await link.connection()
        with monkeypatch.context() as patched:
            patched.setattr(link_module, "usable_access", read_before_a_change)
            assert link.news() is None
        assert "what was read before is still in use" in (link.news() or "")
        file.write_text(text)
        assert link.news() is None
        await link.close()


async def test_what_was_wrong_beside_the_file_is_looked_at_again(tmp_path: Path) -> None:
    file, signers = tmp_path / "registry.ini", tmp_path / "signers"
    text = "[registry]\nendpoints = http://127.0.0.1:1\n"
    file.write_text(text)
    async with asyncio.TaskGroup() as tasks:
        link = Link(file, tasks)
        await link.connection()
        file.write_text(f"{text}signers-file = {signers}\n")
        assert f"cannot read signers-file {signers}" in (link.news() or "")
        signers.touch()
        assert f"cannot use {signers}: it names no signer" in (link.news() or "")
        await link.close()
