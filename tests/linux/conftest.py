"""What tests of listeners have in common."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.linux.listening import House, house_in
from tests.traces import public_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with public_folder() as folder:
        yield folder


@pytest.fixture
async def house(folder: Path) -> AsyncIterator[House]:
    async with house_in(folder) as house:
        yield house
