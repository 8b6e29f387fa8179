"""The certificates for connections to etcd: renewed files are used, and broken ones change
nothing."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from emperor.model.registry_access import RegistryAccess
from emperor.registry.etcd import Etcd
from tests.etcd_cluster import Authority

EMPTY = {"header": {"revision": "1"}}


class Member:
    """Answers over TLS, and knows which certificate it was shown last."""

    def __init__(self, authority: Authority) -> None:
        pair = authority.issue("member", ["127.0.0.1"])
        self.context = ssl.create_default_context(
            ssl.Purpose.CLIENT_AUTH, cafile=authority.certificate
        )
        self.context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.context.load_cert_chain(*pair)
        self.shown: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        certificate = request.transport.get_extra_info("peercert")
        self.shown.append(certificate["serialNumber"])
        return web.json_response(EMPTY)


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Authority]:
    folder = tmp_path / "ca"
    yield Authority(folder)


async def test_a_renewed_certificate_is_shown_without_a_failure(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    member = Member(authority)
    app = web.Application()
    app.router.add_post("/{path:.*}", member.answer)
    certificate, key = authority.issue("client")
    server = TestServer(app, host="127.0.0.1")
    await server.start_server(ssl=member.context)
    url = f"https://127.0.0.1:{server.port}"
    access = RegistryAccess((url,), "/emperord", authority.certificate, certificate, key)
    async with Etcd(access) as engine:
        await engine.get("/emperord/a")
        await engine.get("/emperord/a")
        first, again = member.shown
        assert first == again
        authority.issue("client")
        await engine.get("/emperord/a")
        renewed = member.shown[-1]
        assert renewed != first
        assert len(member.shown) == 3, "no question was asked twice"
        # Half of a renewal: the key is not there yet.
        whole = key.read_bytes()
        authority.issue("other")
        key.write_bytes(key.with_name("other.key").read_bytes())
        await engine.get("/emperord/a")
        await engine.get("/emperord/a")
        assert member.shown[-1] == renewed
        assert caplog.text.count("going on with what was there before") == 1
        key.write_bytes(whole)
        await engine.get("/emperord/a")
        assert member.shown[-1] == renewed
    await server.close()
