"""An endpoint that answers and is no etcd, such as another service at that port."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing

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


@pytest.fixture(params=ANSWERS, ids=range(len(ANSWERS)))
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Etcd]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=request.param)

    app = web.Application()
    app.router.add_post("/{path:.*}", answer)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    access = RegistryAccess((f"http://127.0.0.1:{server.port}",))
    async with Etcd(access, patience=0.05) as opened:
        yield opened
    await server.close()


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
async def test_it_cannot_be_reached(engine: Etcd, ask: Callable[[Etcd], Awaitable[object]]) -> None:
    with pytest.raises(CannotReach, match="not that of etcd"):
        await ask(engine)
