"""An endpoint that answers and is no etcd, such as another service at that port."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from emperor.model.registry_access import RegistryAccess
from emperor.model.registry_keys import Span
from emperor.registry.etcd import Etcd
from emperor.registry.port import CannotReach

ALL = Span("a", "b")
ANSWERS = (
    b"",
    b"<html>",
    b"{}",
    b"[]",
    b"null",
    b'{"kvs": [{}]}',
    b'{"kvs": [{"key": "YQ==", "value": "!"}]}',
    b'{"result": {"watch_id": "7", "events": [{"kv": {"key": "YQ==", "mod_revision": "5"}}]}}\n',
    b'{"result": {"events": [{"type": "X"}]}}\n',
    b'{"a":' * 100_000,
)


async def _watch(engine: Etcd) -> None:
    async with aclosing(engine.watch([ALL], 1)) as changes:
        async for _ in changes:
            pass


ASKED: dict[str, Callable[[Etcd], Awaitable[object]]] = {
    "get": lambda engine: engine.get("a"),
    "page": lambda engine: engine.page(ALL),
    "put": lambda engine: engine.put({"a": b"x"}, {"a": 0}),
    "delete": lambda engine: engine.delete("a", 1),
    "grant": lambda engine: engine.grant(5),
    "watch": _watch,
}


@asynccontextmanager
async def stranger(body: bytes, status: int = 200) -> AsyncIterator[str]:
    """Answers so whatever it is asked."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, status=status)

    app = web.Application()
    app.router.add_post("/{path:.*}", answer)
    async with TestServer(app, host="127.0.0.1") as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture(params=ANSWERS, ids=range(len(ANSWERS)))
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Etcd]:
    async with (
        stranger(request.param) as endpoint,
        Etcd(RegistryAccess((endpoint,)), patience=0.05) as opened,
    ):
        yield opened


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
async def test_it_cannot_be_reached(engine: Etcd, ask: Callable[[Etcd], Awaitable[object]]) -> None:
    with pytest.raises(CannotReach, match="not that of etcd"):
        await ask(engine)


async def test_one_that_asks_for_a_token_at_a_login_is_no_member(tmp_path: Path) -> None:
    password_file = tmp_path / "password"
    password_file.write_text("secret\n")
    password_file.chmod(0o600)
    body = b'{"code": 16, "message": "log in first", "error": "log in first"}'
    async with stranger(body, 401) as endpoint:
        access = RegistryAccess((endpoint,), user="backend", password_file=password_file)
        async with Etcd(access, patience=0.05) as engine:
            for _ in range(2):
                with pytest.raises(CannotReach, match="it asks for a token at a login"):
                    await engine.get("a")
