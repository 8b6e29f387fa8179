"""Listeners that a daemon takes over from one that died."""

import os

from emperor.linux.listeners import UnixListener
from tests.linux.listening import NGINX, TENANT, House, connect, may_pass


def dying(house: House, listener: UnixListener) -> int:
    """The descriptor that the bag has of a listener whose daemon dies."""
    fd = os.dup(listener.fd)
    os.close(listener.fd)
    house.made.remove(listener)
    return fd


def take_over(house: House, listener: UnixListener, **settings: str) -> UnixListener:
    """The listener that the next daemon makes, when the first daemon's descriptor is closed."""
    fd = dying(house, listener)
    adopted = house.listeners_of(**settings).adopt(house.spec(), listener.ref, fd)
    house.made.append(adopted)
    return adopted


async def test_an_inherited_listener_keeps_its_path_and_queue(house: House) -> None:
    first = house.listen()
    inode = house.path().stat().st_ino
    with connect(house.path()):
        adopted = take_over(house, first)
        assert adopted.is_in_place()
        assert adopted.refuse(b"") == 1
    assert house.path().stat().st_ino == inode
    adopted.open_door()
    assert may_pass(NGINX, house.path())
    adopted.close()
    assert not house.path().parent.exists()


async def test_what_was_known_of_its_last_use_is_known_still(house: House) -> None:
    first = house.listen()
    assert take_over(house, first).last_connect() is None
    connect(house.path()).close()
    assert house.made[-1].last_connect()


async def test_it_follows_an_owner_that_the_settings_name_by_now(house: House) -> None:
    first = house.listen()
    take_over(house, first, socket_owner=str(TENANT[0]), socket_group=str(TENANT[1]))
    info, folder = house.path().stat(), house.path().parent.stat()
    assert (info.st_uid, info.st_gid, folder.st_gid) == (*TENANT, TENANT[1])


async def test_an_inherited_listener_without_its_path_is_told(house: House) -> None:
    first = house.listen()
    house.path().unlink()
    house.leave_a_stale_socket(house.path())
    adopted = take_over(house, first)
    assert not adopted.is_in_place()
    adopted.open_door()
    adopted.close()
    assert house.path().exists(), "it is somebody else's now"
    house.path().unlink()
    house.path().parent.rmdir()


async def test_its_links_go_with_it(house: House) -> None:
    first = house.listen(aliases=("b.example",))
    fd = dying(house, first)
    adopted = house.listeners.adopt(house.spec(aliases=("b.example",)), first.ref, fd)
    adopted.close()
    assert list(house.sockets.iterdir()) == []


async def test_a_listener_that_cannot_be_rebound_stays_closed(house: House) -> None:
    adopted = house.listeners.adopt(house.spec(), None, -1)
    assert adopted.fd == -1
    assert not adopted.is_in_place()
    adopted.unwatch()
    adopted.close()
