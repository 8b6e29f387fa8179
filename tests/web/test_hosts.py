"""Which vassal answers for a host: its own ini, an alias, or the nearest wildcard."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from emperor.model.lifecycle import Event
from tests.eventually import eventually_async
from tests.supervisor.fake_listeners import FakeListener
from tests.supervisor.world import SPEC, World, settings
from tests.web.front import FakeInis, front


async def test_an_alias_wakes_the_vassal_that_has_it() -> None:
    world = World(replace(SPEC, aliases=("www.example",)))
    async with front(world) as nginx:
        hit = asyncio.create_task(nginx.ask("www.example"))
        await eventually_async(lambda: nginx.held == 1)
        world.launcher.last.accepts()
        assert (await hit).status == 200


@pytest.mark.parametrize(
    ("host", "served_by"),
    [
        ("a.example", "a.example"),
        ("b.shop.example", "_.shop.example"),
        ("x.y.shop.example", "_.y.shop.example"),
        ("own.shop.example", "own.shop.example"),
        ("shop.example", "_"),
        ("refused.shop.example", None),
        ("b.refused.example", None),
        ("unread.shop.example", None),
        ("b.unread.example", None),
        ("alias-of-refused.shop.example", None),
        ("alias-of-unread.shop.example", None),
        ("b.alias.shop.example", None),
        ("alias-of-gone.shop.example", "_.shop.example"),
    ],
)
async def test_the_nearest_wildcard_answers_for_a_host(host: str, served_by: str | None) -> None:
    world = World()
    for domain in ("_.shop.example", "_.y.shop.example", "own.shop.example", "_"):
        world.add(domain)
    refused = ("refused.shop.example", "_.refused.example")
    unread = ("unread.shop.example", "_.unread.example")
    aliases = {
        "alias-of-refused.shop.example": "refused.shop.example",
        "alias-of-unread.shop.example": "unread.shop.example",
        "_.alias.shop.example": "refused.shop.example",
        "alias-of-gone.shop.example": "gone.example",
    }
    async with front(world, inis=FakeInis(refused, unread, aliases)) as nginx:
        if served_by is None:
            assert (await nginx.ask(host)).status == 503
            assert not world.launcher.started
            return
        asking = asyncio.ensure_future(nginx.ask(host))
        await eventually_async(lambda: world.launcher.started)
        assert world.launcher.last.spec.domain == served_by
        world.launcher.last.accepts()
        assert (await asking).headers["X-Accel-Redirect"] == "@app"
        vassal = world.governor.vassals[served_by]
        listener = vassal.listener
        assert isinstance(listener, FakeListener)
        assert listener.links == ([] if host == served_by else [host])


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("www.shop.example", "wildcard: www.shop.example"),
        ("refused.shop.example", "refused: refused.shop.example"),
        ("none.example", "all: none.example"),
    ],
)
async def test_the_own_page_of_an_app_shows_the_visitors_host(
    tmp_path: Path, host: str, text: str
) -> None:
    world = World()
    world.add("_.shop.example")
    world.governor.order(world.governor.vassals["_.shop.example"], Event.MAINTENANCE_ON, "test")
    for domain, said in (
        ("_.shop.example", "wildcard"),
        ("refused.shop.example", "refused"),
        ("", "all"),
    ):
        (tmp_path / domain).mkdir(exist_ok=True)
        for name in ("maintenance", "error", "404"):
            (tmp_path / domain / f"{name}.html").write_text(f"{said}: {{{{ domain }}}}")
    inis = FakeInis(["refused.shop.example"])
    async with front(world, settings(pages_dir=str(tmp_path)), inis) as nginx:
        reply = await nginx.ask(host, wants_html=True)
        assert await reply.text() == text
        named = await nginx.ask(host, wants_html=True, also={"X-Host": "<visited>.example"})
        assert (await named.text()).endswith(": &lt;visited&gt;.example")


async def test_an_ini_that_is_gone_leaves_no_link_beside_its_folder() -> None:
    world = World()
    world.add("_")
    world.run()
    world.governor.dismiss("a.example")
    async with front(world) as nginx:
        assert (await nginx.ask("a.example")).status == 404
