"""Follows which machines hold the apps that must not run twice."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import aclosing

from emperor.model.once import Holder, decoded
from emperor.model.registry_keys import Keys
from emperor.registry.paging import pages
from emperor.registry.port import Engine, KeyValue

# The holders of domains, and the domains that nobody holds any more.
Change = tuple[Mapping[str, Holder], Collection[str] | None]


async def changes_of_holders(engine: Engine, keys: Keys) -> AsyncIterator[Change]:
    """First all holders, with None: nobody holds any other domain. Then what changes. Raises what a
    watch raises."""
    span = keys.holders()
    read = [page async for page in pages(engine, span)]
    yield _holders(keys, [each for page in read for each in page.entries]), None
    async with aclosing(engine.watch([span], read[0].revision)) as watch:
        async for news in watch:
            gone = [keys.domain(key) for key in news.gone if key == keys.once(keys.domain(key))]
            yield _holders(keys, news.written), gone


def _holders(keys: Keys, entries: Iterable[KeyValue]) -> dict[str, Holder]:
    """The holder of each domain that has one, without the requests for a migration."""
    return {
        domain: decoded(each.value)
        for each in entries
        if each.key == keys.once(domain := keys.domain(each.key))
    }
