"""An etcd that will not: wrong passwords, rights and certificates, no space, values that are too
long; and what is said of it."""

from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.x509 import KeyUsage, load_pem_x509_certificate

from emperor.model.registry_access import RegistryAccess
from emperor.model.registry_keys import Keys
from emperor.registry.etcd import Etcd
from emperor.registry.port import CannotReach, Missed, RegistryRefused
from tests.etcd_cluster import (
    PASSWORD,
    USER,
    WITH_CERTIFICATES,
    Authority,
    EtcdCluster,
    etcd_cluster,
)

KEYS = Keys("/emperord/refusals")
KEY = KEYS.vassal("www.example.com")
# etcd counts the file of its database, which has 20 KiB at first.
SMALL = 256 << 10


@pytest.fixture(scope="module")
def cluster() -> Iterator[EtcdCluster]:
    """A member takes values of 16 MiB, as an operator may have set it."""
    with etcd_cluster(size=1, options=("--max-request-bytes=16777216",)) as running:
        yield running


async def test_a_wrong_password_is_refused(cluster: EtcdCluster, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("wrong")
    (tmp_path / "password").chmod(0o600)
    access = replace(cluster.access, password_file=tmp_path / "password")
    async with Etcd(access) as engine:
        told = f"authentication failed for user {USER}; .* the password in {tmp_path}/password"
        with pytest.raises(RegistryRefused, match=told):
            await engine.get(KEY)
        with pytest.raises(RegistryRefused, match="authentication failed"):
            await engine.put({KEY: b""}, {})
        async with aclosing(engine.watch([KEYS.vassals()], 0)) as watch:
            with pytest.raises(RegistryRefused, match="authentication failed"):
                await anext(watch)


async def test_a_user_that_is_missing_is_asked_for(cluster: EtcdCluster) -> None:
    access = replace(cluster.access, user="", password_file=None)
    async with Etcd(access) as engine, aclosing(engine.watch([KEYS.vassals()], 0)) as watch:
        for asked in (engine.get(KEY), engine.put({KEY: b""}, {}), anext(watch)):
            assert "asks for a user; name one in registry.ini" in await refusal(asked)


async def test_a_password_file_that_is_missing_is_named(
    cluster: EtcdCluster, tmp_path: Path
) -> None:
    async with Etcd(replace(cluster.access, password_file=tmp_path / "none")) as engine:
        with pytest.raises(CannotReach, match=f"cannot read {tmp_path}/none: No such file"):
            await engine.get(KEY)


async def test_a_missing_right_is_told_with_user_key_and_cure(
    cluster: EtcdCluster,
) -> None:
    other = Keys("/other")
    async with Etcd(cluster.access) as engine:
        for key in ("/emperore", "/"):
            for may, right, asked in (
                ("read", "read", engine.get(key)),
                ("write", "readwrite", engine.put({key: b""}, {})),
            ):
                told = await refusal(asked)
                assert f"user {USER} may not {may} {key}; " in told
                assert f"`etcdctl role grant-permission ROLE {right} {key}`" in told
        assert f"may not write {KEY} and /slots; " in await refusal(
            engine.put({KEY: b"", "/slots": b""}, {})
        )
        assert "may not write /a; " in await refusal(engine.delete("/a", 1))
        cure = "`etcdctl role grant-permission ROLE read --prefix=true /other/vassals/`"
        assert cure in await refusal(engine.page(other.vassals()))
        async with aclosing(engine.watch([other.vassals()], 0)) as watch:
            assert cure in await refusal(anext(watch))


async def refusal(asked: Awaitable[object]) -> str:
    with pytest.raises(RegistryRefused) as refused:
        await asked
    return str(refused.value)


async def test_a_user_that_is_deleted_under_way_is_refused(cluster: EtcdCluster) -> None:
    async with Etcd(cluster.access) as engine:
        start = await engine.put({KEY: b"1"}, {})
        async with aclosing(engine.watch([KEYS.vassals()], start)) as watch:
            await anext(watch)
            cluster.etcdctl("user", "delete", USER)
            try:
                with pytest.raises(RegistryRefused, match="authentication failed"):
                    await engine.get(KEY)
                # etcd itself would go on telling.
                with pytest.raises(RegistryRefused, match="authentication failed"):
                    await anext(watch)
            finally:
                cluster.etcdctl("user", "add", f"{USER}:{PASSWORD}")
                cluster.etcdctl("user", "grant-role", USER, "fleet")
        assert await engine.get(KEY)


async def test_a_new_password_is_read_from_its_file(cluster: EtcdCluster, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text(PASSWORD)
    path.chmod(0o600)
    async with Etcd(replace(cluster.access, password_file=path)) as engine:
        await engine.put({KEY: b"1"}, {})
        cluster.set_password("another")
        try:
            path.write_text("another")
            assert await engine.get(KEY)
        finally:
            cluster.set_password(PASSWORD)


async def test_a_file_without_a_certificate_is_told_in_words(
    cluster: EtcdCluster, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text("none\n")
    async with Etcd(replace(cluster.access, ca_file=tmp_path / "ca.pem"), 1) as engine:
        with pytest.raises(CannotReach, match=r"ca\.pem: no certificate or crl found$"):
            await engine.get(KEY)


async def test_the_port_for_other_members_wants_a_certificate(cluster: EtcdCluster) -> None:
    peers = tuple(each.address.peer for each in cluster.members)
    async with Etcd(replace(cluster.access, endpoints=peers), 1) as engine:
        with pytest.raises(CannotReach, match=r"TLS fails: .*certificate.* port for clients"):
            await engine.get(KEY)


async def test_certificates_of_another_authority(cluster: EtcdCluster, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    async with Etcd(replace(cluster.access, ca_file=other.certificate), 1) as engine:
        with pytest.raises(CannotReach, match=r"is not valid: .*issuer.*; name .* in ca-file"):
            await engine.get(KEY)
        async with aclosing(engine.watch([KEYS.vassals()], 0)) as watch:
            with pytest.raises(CannotReach, match="its certificate is not valid"):
                await anext(watch)
        # The right file is taken without a restart.
        other.certificate.write_bytes(cluster.authority.certificate.read_bytes())
        await engine.get(KEY)


async def test_a_certificate_that_expires_and_is_renewed(cluster: EtcdCluster) -> None:
    async with Etcd(cluster.access) as engine:
        cluster.authority.issue("member", ["127.0.0.1"], valid=False)
        try:
            with pytest.raises(CannotReach, match="not valid: certificate has expired"):
                await engine.get(KEY)
        finally:
            cluster.authority.issue("member", ["127.0.0.1"])
        await engine.get(KEY)


async def test_an_authority_without_a_key_usage_is_taken(cluster: EtcdCluster) -> None:
    """`openssl req -x509` makes such an authority. From 3.13 on Python refuses it by default."""
    authority = load_pem_x509_certificate(cluster.authority.certificate.read_bytes())
    assert KeyUsage.oid not in {each.oid for each in authority.extensions}
    async with Etcd(cluster.access) as engine:
        await engine.put({KEY: b"1"}, {})


async def test_a_file_of_certificates_that_is_missing_is_named(cluster: EtcdCluster) -> None:
    async with Etcd(replace(cluster.access, ca_file=Path("/nonexistent.pem"))) as engine:
        with pytest.raises(CannotReach, match=r"cannot use /nonexistent.pem: No such file"):
            await engine.get(KEY)


async def test_a_value_that_is_too_long_is_not_read(cluster: EtcdCluster) -> None:
    names = ["a.example.com", "b.example.com", "c.example.com"]
    async with Etcd(cluster.access) as engine:
        start = await engine.put({KEYS.vassal(name): b"1" for name in names}, {})
        long = KEYS.vassal(names[1])
        await engine.put({long: b"x" * (8 << 20)}, {})
        found = await engine.get(long)
        assert found and (found.key, found.value) == (long, b"")
        page = await engine.page(KEYS.vassals())
        entries = list(page.entries)
        while page.following:
            page = await engine.page(replace(KEYS.vassals(), start=page.following))
            entries += page.entries
        assert {entry.key: entry.value for entry in entries if entry.key in names} == {}
        values = {KEYS.domain(entry.key): entry.value for entry in entries}
        assert {name: values[name] for name in names} == {
            names[0]: b"1", names[1]: b"", names[2]: b"1"
        }  # fmt: skip
        async with aclosing(engine.watch([KEYS.vassals()], start)) as watch:
            with pytest.raises(Missed, match="too long"):
                async for changes in watch:
                    assert not changes.written
        await engine.delete(long, found.revision)


async def test_no_space_is_told_with_its_cure() -> None:
    with etcd_cluster(size=1, options=(f"--quota-backend-bytes={SMALL}",)) as cluster:
        async with Etcd(cluster.access) as engine:
            with pytest.raises(RegistryRefused, match=r"full: compact it, .*defrag.*alarm disarm"):
                for number in range(100):
                    await engine.put({KEY: b"%d" % number + b"x" * (8 << 10)}, {})
            found = await engine.get(KEY)
            assert found
            cluster.etcdctl("compact", str(found.revision))
            cluster.etcdctl("defrag")
            cluster.etcdctl("alarm", "disarm")
            await engine.put({KEY: b"1"}, {KEY: found.revision})


async def test_members_that_ask_for_a_certificate() -> None:
    with etcd_cluster(size=1, options=(WITH_CERTIFICATES,)) as cluster:
        for subject in ("/O=emperord", "/CN=emperord"):
            certificate, key = cluster.authority.issue("backend", subject=subject)
            access = replace(cluster.access, cert_file=certificate, key_file=key)
            async with Etcd(access) as engine:
                if "CN" in subject:
                    with pytest.raises(RegistryRefused, match="no certificate with a common name"):
                        await engine.get(KEY)
                else:
                    await engine.put({KEY: b"1"}, {})
        async with Etcd(cluster.access) as engine:
            with pytest.raises(CannotReach, match="certificate"):
                await engine.get(KEY)


@pytest.fixture
async def stranger() -> AsyncIterator[RegistryAccess]:
    """A web server that is no etcd: it answers 404, and /v3/kv/range without end."""

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"[" * 65_536)

    app = web.Application()
    app.router.add_post("/v3/kv/range", endless)
    app.router.add_post("/v3/watch", endless)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield RegistryAccess((f"http://{host}:{port}",))
    await runner.cleanup()


async def test_a_server_without_tls(stranger: RegistryAccess) -> None:
    (endpoint,) = stranger.endpoints
    secure = replace(stranger, endpoints=(endpoint.replace("http:", "https:"),))
    async with Etcd(secure, 1) as engine:
        with pytest.raises(CannotReach, match=r"TLS fails: [a-z ]+; is it https"):
            await engine.get(KEY)


async def test_a_server_that_is_no_etcd(stranger: RegistryAccess) -> None:
    async with Etcd(stranger, 1) as engine:
        with pytest.raises(CannotReach, match=r"HTTP 404: is it etcd 3.4 or later"):
            await engine.put({KEY: b"1"}, {})
        with pytest.raises(RegistryRefused, match="more than 4194304 bytes"):
            await engine.get(KEY)
        async with aclosing(engine.watch([KEYS.vassals()], 0)) as watch:
            with pytest.raises(RegistryRefused, match="more than 4194304 bytes"):
                await anext(watch)
