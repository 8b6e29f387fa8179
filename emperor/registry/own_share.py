"""Reads which of its domains belong to this backend, when somebody asks."""

import asyncio
from collections.abc import Sequence

from emperor.model.share import NoShare, Share
from emperor.model.slot_table import NO_TABLE, BrokenTable, SlotTable, decoded, share_of
from emperor.registry.link import Link
from emperor.registry.port import CannotReach, RegistryRefused

# Who asks is a person with a browser.
_PATIENCE_SECONDS = 2.0


async def own_share(link: Link, address: str, served: Sequence[tuple[str, ...]]) -> Share:
    """What belongs to the backend of that address. `served` has the hosts of each ini, its domain
    first. Raises NoShare."""
    table = await _table(link)
    # Ten thousand names take the loop too long.
    return await asyncio.to_thread(share_of, table, address, served)


async def _table(link: Link) -> SlotTable:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            connection = await link.connection()
            found = await connection.engine.get(connection.keys.slots())
    except TimeoutError as error:
        raise NoShare(f"the registry has not answered for {_PATIENCE_SECONDS:g} seconds") from error
    except (CannotReach, RegistryRefused) as error:
        raise NoShare(f"cannot read the table of slots: {error}") from error
    if found is None:
        raise NoShare(NO_TABLE)
    try:
        return decoded(found.value)
    except BrokenTable as error:
        raise NoShare(f"cannot use the registry's table of slots: {error}") from error
