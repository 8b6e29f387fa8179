"""Listeners on the real kernel: who may pass, what is taken over, and what is left alone."""

import asyncio
import os
import socket
import sys
from pathlib import Path

import pytest

from emperor.linux.listeners import REFUSALS_AT_ONCE
from emperor.model.ports import CannotListen
from emperor.model.section import SettingsError
from emperor.model.spec import Activation
from tests.descriptors import descriptors_left
from tests.eventually import eventually_async
from tests.linux.listening import (
    NGINX,
    TENANT,
    House,
    acting_as,
    connect,
    may_pass,
    mode,
    read_only,
)

APP = """
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"served"]
"""


async def test_nobody_passes_a_closed_door_and_only_nginx_an_open_one(house: House) -> None:
    listener = house.listen()
    assert not may_pass(NGINX, house.path())
    listener.open_door()
    assert may_pass(NGINX, house.path())
    assert not may_pass(TENANT, house.path())
    listener.close_door()
    assert not may_pass(NGINX, house.path())


async def test_with_activation_by_socket_a_closed_door_is_open(house: House) -> None:
    listener = house.listen(activation=Activation.SOCKET)
    assert may_pass(NGINX, house.path())
    listener.close_door()
    assert may_pass(NGINX, house.path())


async def test_a_barred_door_stays_barred_until_it_is_closed_again(house: House) -> None:
    listener = house.listen(activation=Activation.SOCKET)
    listener.bar_door()
    assert not may_pass(NGINX, house.path())
    listener.close_door()
    assert may_pass(NGINX, house.path())


@pytest.mark.parametrize("umask", [0o000, 0o077])
async def test_modes_do_not_depend_on_the_umask(house: House, umask: int) -> None:
    before = os.umask(umask)
    try:
        house.listen("closed.example")
        house.listen("open.example", activation=Activation.SOCKET)
    finally:
        os.umask(before)
    assert mode(house.path("closed.example")) == 0
    assert mode(house.path("open.example")) == 0o660
    assert mode(house.path("open.example").parent) == 0o750


async def test_another_tenant_cannot_even_enter_the_folder(house: House) -> None:
    house.listen()
    folder = house.path().parent
    assert (folder.stat().st_uid, folder.stat().st_gid) == (0, NGINX[1])
    with acting_as(*TENANT), pytest.raises(PermissionError):
        os.listdir(folder)


async def test_it_is_bound_under_the_very_name_that_the_ini_spells(house: House) -> None:
    spelled = f"{house.sockets}//a.example/./socket"
    house.listen(socket=spelled)
    with connect(house.path()) as client:
        assert client.getpeername() == spelled


async def test_a_connection_calls_until_nobody_watches(house: House) -> None:
    listener = house.listen()
    calls: list[str] = []

    def called(who: str) -> None:
        calls.append(who)
        listener.unwatch()

    listener.watch(called, "a visitor")
    with connect(house.path()):
        await eventually_async(lambda: calls)
        await asyncio.sleep(0)
        assert calls == ["a visitor"]
        listener.watch(called, "the same one, who still waits")
        await eventually_async(lambda: len(calls) == 2)


async def test_refused_callers_see_the_end_at_once(house: House) -> None:
    listener = house.listen(backlog=REFUSALS_AT_ONCE + 2)
    clients = [connect(house.path()) for _ in range(REFUSALS_AT_ONCE + 1)]
    assert listener.refuse(b"") == REFUSALS_AT_ONCE
    assert listener.refuse(b"") == 1
    assert [client.recv(1) for client in clients] == [b""] * len(clients)
    for client in clients:
        client.close()


async def test_callers_wait_until_there_is_a_descriptor(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    listener, refused = house.listen(), list[int]()
    listener.watch(lambda answer: refused.append(listener.refuse(answer)), b"later")
    with connect(house.path()) as client, connect(house.path()) as other:
        with descriptors_left():
            await eventually_async(lambda: refused)
            for _ in range(20):
                await asyncio.sleep(0)
            assert refused == [0], "the loop does not spin"
        assert await eventually_async(lambda: refused[1:]) == [2]
        assert [each.recv(100) for each in (client, other)] == [b"later"] * 2
    assert caplog.messages == [
        "cannot refuse connections of apps: Too many open files; the queues of their sockets hold"
        " them"
    ]


async def test_callers_in_a_queue_that_is_shut_are_told_why(
    house: House,
) -> None:
    listener = house.listen()
    clients = [connect(house.path()) for _ in range(3)]
    _, talks, talks_on = clients
    talks.sendall(b"a question")
    talks_on.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            talks_on.send(b"x" * 10_000)
    listener.shut(b"unavailable")
    for client in clients:
        assert client.recv(100) == b"unavailable"
        assert client.recv(100) == b""
        client.close()


async def test_an_app_that_makes_the_socket_blocking_stops_nobody(
    house: House,
) -> None:
    listener = house.listen()
    duplicate = os.dup(listener.fd)
    os.set_blocking(duplicate, True)
    clients = [connect(house.path()) for _ in range(REFUSALS_AT_ONCE + 1)]
    listener.shut(b"")
    assert [client.recv(1) for client in clients] == [b""] * len(clients)
    with pytest.raises(ConnectionRefusedError):
        connect(house.path())
    listener.close()
    again = house.listen()
    with connect(house.path()):
        assert again.refuse(b"") == 1
    again.close()
    os.close(duplicate)
    for client in clients:
        client.close()


async def test_a_stale_socket_of_an_earlier_run_is_taken_over(house: House) -> None:
    house.path().parent.mkdir(mode=0o777)
    house.leave_a_stale_socket(house.path())
    house.listen().open_door()
    assert may_pass(NGINX, house.path())
    assert mode(house.path().parent) == 0o750


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
async def test_a_socket_that_somebody_has_bound_is_left_alone(house: House, kind: int) -> None:
    house.path().parent.mkdir()
    with socket.socket(socket.AF_UNIX, kind) as other:
        other.bind(str(house.path()))
        if kind == socket.SOCK_STREAM:
            other.listen()
        other.setblocking(False)
        with pytest.raises(CannotListen, match=r"another process has bound it; stop that"):
            house.listen()
        with pytest.raises(BlockingIOError):
            other.recv(1) if kind == socket.SOCK_DGRAM else other.accept()
    assert house.path().is_socket()


async def test_what_is_no_socket_is_never_deleted(house: House) -> None:
    house.path().parent.mkdir()
    house.path().write_text("precious")
    with pytest.raises(CannotListen, match=r"a.example/socket: a file is in its place; move it"):
        house.listen()
    assert house.path().read_text() == "precious"
    house.path().unlink()
    house.path().symlink_to("/etc/passwd")
    with pytest.raises(CannotListen, match="a link is in its place"):
        house.listen()
    assert house.path().is_symlink()


async def test_a_folder_that_is_a_file_or_a_link_is_left_alone(house: House) -> None:
    elsewhere = house.folder / "elsewhere"
    elsewhere.mkdir()
    folder = house.path().parent
    folder.symlink_to("../elsewhere")
    with pytest.raises(CannotListen, match=r"a link to '../elsewhere'.*remove it"):
        house.listen()
    assert list(elsewhere.iterdir()) == []
    folder.unlink()
    folder.write_text("precious")
    with pytest.raises(CannotListen, match=r"cannot make the folder .*: a file is in its place"):
        house.listen()
    assert folder.read_text() == "precious"


async def test_a_path_too_long_for_the_kernel_is_refused(house: House) -> None:
    long = f"{'a' * 63}.{'b' * 40}"
    for changes in ({"domain": long}, {"aliases": (long,)}):
        with pytest.raises(CannotListen, match=r"paths of 107 bytes at most; choose a shorter"):
            house.listen(**changes)
    assert os.listdir(house.sockets) == []


async def test_aliases_are_links_and_go_with_the_listener(house: House) -> None:
    listener = house.listen(aliases=("www.a.example",))
    assert os.readlink(house.sockets / "www.a.example") == "a.example"
    listener.open_door()
    assert may_pass(NGINX, house.path("www.a.example"))
    listener.close()
    assert os.listdir(house.sockets) == []


async def test_stale_links_of_an_earlier_run_are_taken_over(house: House) -> None:
    (house.sockets / "www.a.example").symlink_to("old.example")
    (house.sockets / "a.example").symlink_to("older.example")
    house.listen(aliases=("www.a.example",))
    with connect(house.path("www.a.example")) as client:
        assert client.getpeername() == str(house.path())


async def test_an_alias_served_by_another_leaves_nothing_behind(house: House) -> None:
    house.listen("b.example", aliases=("www.example",))
    (house.sockets / "shop.example").mkdir()
    for alias, why in (("www.example", "an alias of an app"), ("shop.example", "a folder")):
        with pytest.raises(CannotListen, match=why):
            house.listen(aliases=("new.example", alias))
    assert sorted(os.listdir(house.sockets)) == ["b.example", "shop.example", "www.example"]
    assert os.readlink(house.sockets / "www.example") == "b.example"


async def test_a_changed_spec_keeps_the_socket_and_its_queue(house: House) -> None:
    listener = house.listen(backlog=1, aliases=("old.example", "both.example"))
    with connect(house.path()), connect(house.path()):
        with pytest.raises(BlockingIOError), socket.socket(socket.AF_UNIX) as client:
            client.setblocking(False)
            client.connect(str(house.path()))
        listener.apply(
            house.spec(
                backlog=9,
                aliases=("both.example", "new.example"),
                activation=Activation.SOCKET,
            )
        )
        assert may_pass(NGINX, house.path("new.example"))
        assert sorted(os.listdir(house.sockets)) == ["a.example", "both.example", "new.example"]
        assert listener.is_in_place()
        assert listener.refuse(b"") == 3


async def test_a_spec_that_cannot_be_followed_changes_nothing(house: House) -> None:
    listener = house.listen(aliases=("old.example",))
    (house.sockets / "taken.example").mkdir()
    with pytest.raises(CannotListen, match=r"taken.example: a folder is in its place"):
        listener.apply(
            house.spec(aliases=("new.example", "taken.example"), activation=Activation.SOCKET)
        )
    assert sorted(os.listdir(house.sockets)) == ["a.example", "old.example", "taken.example"]
    assert not may_pass(NGINX, house.path())


async def test_a_listener_that_is_closed_follows_no_spec(house: House) -> None:
    listener = house.listen(aliases=("old.example",))
    listener.close()
    with pytest.raises(CannotListen, match="it could not be bound again"):
        listener.apply(house.spec(aliases=("new.example",)))
    assert os.listdir(house.sockets) == []


async def test_another_socket_in_its_place_is_noticed_and_kept(house: House) -> None:
    listener = house.listen()
    assert listener.is_in_place()
    house.path().unlink()
    assert not listener.is_in_place()
    house.leave_a_stale_socket(house.path())
    house.path().chmod(0o600)
    assert not listener.is_in_place()
    listener.open_door()
    listener.close()
    assert mode(house.path()) == 0o600


async def test_an_end_takes_the_folder_and_a_second_one_does_no_harm(house: House) -> None:
    listener = house.listen()
    listener.watch(print, "a visitor")
    listener.close()
    listener.close()
    listener.watch(print, "a visitor")
    listener.unwatch()
    assert os.listdir(house.sockets) == []


async def test_the_kernel_notes_each_connect_and_not_only_the_first(house: House) -> None:
    listener = house.listen()
    assert listener.last_connect() is None

    def noted_after(earlier: float) -> float | None:
        with connect(house.path()):
            listener.refuse(b"")
        last = listener.last_connect()
        listener.note_next_connect()
        return last if last is not None and last > earlier else None

    first = await eventually_async(lambda: noted_after(0.0))
    assert first is not None
    second = await eventually_async(lambda: noted_after(first))
    assert listener.last_connect() == second


async def test_asking_for_the_last_connect_changes_nothing(house: House) -> None:
    listener = house.listen()
    with connect(house.path()):
        listener.refuse(b"")
    before = os.lstat(house.path())
    assert listener.last_connect() == before.st_atime
    assert os.lstat(house.path()) == before


async def test_a_daemon_with_its_own_user_serves_as_that_user(house: House) -> None:
    os.chown(house.sockets, *TENANT)
    with acting_as(*TENANT):
        own = house.listeners_of(socket_owner=str(TENANT[0]), socket_group=str(TENANT[1]))
        house.path().parent.mkdir()
        house.leave_a_stale_socket(house.path())
        house.path().chmod(0)
        house.made.append(own.listen(house.spec()))
        with pytest.raises(CannotListen, match="another process has bound it"):
            own.listen(house.spec())
    assert mode(house.path()) == 0
    assert house.path().stat().st_uid == TENANT[0]


async def test_without_the_rights_it_says_whose_and_what_to_change(house: House) -> None:
    with acting_as(*TENANT), pytest.raises(CannotListen, match=r"Permission denied.*let uid 12345"):
        house.listen()
    os.chown(house.sockets, *TENANT)
    with acting_as(*TENANT), pytest.raises(CannotListen, match=r"set socket-owner and socket-gr"):
        house.listen()
    assert list(house.sockets.rglob("*")) == []


async def test_an_unknown_owner_or_group_is_an_error_in_the_settings(house: House) -> None:
    with pytest.raises(SettingsError, match=r"socket-owner = 'nosuch': there is no such user"):
        house.listeners_of(socket_owner="nosuch")
    with pytest.raises(SettingsError, match=r"socket-group = 'nosuch': .* it must be nginx's"):
        house.listeners_of(socket_group="nosuch")
    with pytest.raises(
        SettingsError, match="cannot use sockets-dir = /nosuch/folder: No such file"
    ):
        house.listeners_of(sockets_dir="/nosuch/folder")


async def test_uwsgi_serves_from_a_duplicate_left_non_blocking(house: House) -> None:
    listener = house.listen()
    app = house.folder / "app.py"
    app.write_text(APP)
    uwsgi = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).with_name("uwsgi"), "--wsgi-file", app, "--need-app"),
        *("--http-socket", f"fd://{listener.fd}"),
        pass_fds=[listener.fd],
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    reader, writer = await asyncio.open_unix_connection(house.path())
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    reply = await reader.read()
    writer.close()
    await writer.wait_closed()
    uwsgi.kill()
    await uwsgi.wait()
    assert reply.endswith(b"served")
    assert not os.get_blocking(listener.fd)
    assert listener.is_in_place()


@pytest.mark.parametrize("how", [socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR])
async def test_a_shutdown_through_a_duplicate_is_noticed(house: House, how: int) -> None:
    listener = house.listen()
    with socket.socket(fileno=os.dup(listener.fd)) as duplicate:
        duplicate.shutdown(how)
    refuses = True
    listener.open_door()
    try:
        connect(house.path()).close()
        refuses = False
    except ConnectionRefusedError:
        pass
    assert listener.is_in_place() == (not refuses)


async def test_a_path_that_cannot_be_removed_is_told(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    listener = house.listen()
    with read_only(house.sockets):
        listener.close()
    assert listener.fd == -1
    assert caplog.messages == [f"cannot remove {house.path()}: Read-only file system"]
    house.listen()
