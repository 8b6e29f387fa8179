"""Follows which machines hold the apps that must not run twice."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import aclosing

from emperor.model.once import Holder, decoded
from emperor.model.registry_keys import Keys
from emperor.registry.pages import pages
from emperor.registry.port import Engine

# The holders of domains, and the domains that nobody holds any more.
Change = tuple[Mapping[str, Holder], Collection[str] | None]


async def changes_of_holders(engine: Engine, keys: Keys) -> AsyncIterator[Change]:
    """First all holders, with None: nobody holds any other domain. Then what changes. Raises what a
    watch raises."""
    span = keys.onces()
    read = [page async for page in pages(engine, span)]
    holders = (each for page in read for each in page.entries)
    yield {keys.domain(each.key): decoded(each.value) for each in holders}, None
    async with aclosing(engine.watch([span], read[0].revision)) as watch:
        async for news in watch:
            held = {keys.domain(each.key): decoded(each.value) for each in news.written}
            yield held, [keys.domain(key) for key in news.gone]
