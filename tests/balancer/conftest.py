"""The shipped balancer, backends for it to balance to, and its Lua by itself."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.balancer.backends import three
from tests.balancer.fleet import Fleet, running
from tests.balancer.lua import Lua, copy_of_the_lua, inside_nginx, plain
from tests.traces import public_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with public_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def lua_copy() -> Iterator[Path]:
    with public_folder() as folder:
        copy_of_the_lua(folder)
        yield folder


@pytest.fixture(scope="module")
def luajit(lua_copy: Path) -> Iterator[Lua]:
    """LuaJIT inside nginx, as on a balancer."""
    with inside_nginx(lua_copy) as luajit:
        yield luajit


@pytest.fixture(scope="module")
def luas(lua_copy: Path, luajit: Lua) -> dict[str, Lua]:
    """Every Lua that the balancer's files are run by."""
    plain_ones = {program: plain(program, lua_copy) for program in ("lua5.1", "lua5.4")}
    return {"LuaJIT in nginx": luajit, **plain_ones}


@pytest.fixture
async def fleet(folder: Path) -> AsyncIterator[Fleet]:
    """The balancer in front of three backends."""
    async with running(folder, three()) as fleet:
        yield fleet
