"""A base learns from few apps which pages all of them use."""

import asyncio

from emperor.bases.hot_pages import HotPages
from emperor.linux.used_pages import NOTHING_USED, Used
from tests.eventually import eventually_async
from tests.threads import no_thread_left

APPS = {
    11: Used(frozenset({1, 2, 3}), frozenset({8, 9})),
    12: Used(frozenset({2, 3, 4}), frozenset({8})),
    13: Used(frozenset({3, 4, 5}), frozenset({8})),
    14: Used(frozenset(), frozenset()),
}
BASE = 10


async def test_what_the_first_apps_have_in_common_is_hot() -> None:
    asked: list[int] = []

    def look(app: int, base: int) -> Used:
        assert base == BASE
        asked.append(app)
        return APPS[app]

    pages = HotPages(asyncio.get_running_loop(), look)
    assert pages.packed == b""
    for app, expected in (
        (11, APPS[11]),
        (12, APPS[11] & APPS[12]),
        (13, Used(frozenset({3}), frozenset({8}))),
    ):
        pages.learn(app, BASE)
        wanted = expected.packed(100)
        await eventually_async(lambda wanted=wanted: pages.packed == wanted)  # type: ignore[misc]
    pages.learn(11, BASE)
    assert asked == [11, 12, 13], "three are enough"


async def test_without_a_thread_the_next_app_is_looked_at() -> None:
    pages = HotPages(asyncio.get_running_loop(), lambda app, _: APPS[app])
    with no_thread_left():
        for _ in range(3):
            pages.learn(11, BASE)
    pages.learn(12, BASE)
    await eventually_async(lambda: pages.packed == APPS[12].packed(100))


async def test_an_app_that_tells_nothing_leaves_what_is_known() -> None:
    def look(app: int, _: int) -> Used:
        if app == BASE:
            raise ProcessLookupError
        return APPS[app]

    pages = HotPages(asyncio.get_running_loop(), look)
    pages.learn(11, BASE)
    await eventually_async(lambda: pages.packed != b"")
    for app in (14, BASE):
        pages.learn(app, BASE)
    await eventually_async(lambda: pages.answers == 3)
    assert pages.packed == APPS[11].packed(100)
    assert NOTHING_USED.packed(100) == b""
