"""Where the daemon listens for an ini, what is spoken there, and how uWSGI gets the socket."""

from pathlib import Path

import pytest

from emperor.model.definition import BrokenIni
from emperor.model.spec import InheritedSocket, WireProtocol
from emperor.uwsgi.options import Adoption, UwsgiOptions, uwsgi_options
from tests.uwsgi.house import DOMAIN, OWN, spec


def test_an_ini_without_a_socket_is_served_at_its_domains() -> None:
    made = spec("file = /srv/a.py")
    assert (made.socket, uwsgi_options(made)) == (
        OWN,
        UwsgiOptions(names_socket=False, need_app=True),
    )


@pytest.mark.parametrize(
    "spelling",
    [
        OWN,
        f"/var//sockets/{DOMAIN}/socket",
        f"/var/sockets/./{DOMAIN}/socket",
        f"/var/sockets/{DOMAIN}//socket",
    ],
)
def test_a_socket_is_bound_as_the_ini_spells_it(spelling: str) -> None:
    made = spec(f"socket = {spelling}")
    assert (made.socket, made.foreign_sockets) == (spelling, ())
    assert uwsgi_options(made).names_socket


def test_a_path_with_dots_that_lead_back_is_refused() -> None:
    with pytest.raises(BrokenIni, match="write the path without"):
        spec(f"socket = /home/link/../../var/sockets/{DOMAIN}/socket")


@pytest.mark.parametrize("option", ["socket =", "http-socket"])
def test_an_empty_socket_is_refused(option: str) -> None:
    with pytest.raises(BrokenIni, match=r"line 2: .*socket is empty; write an address"):
        spec(option)


def test_an_ini_full_of_sockets_is_refused() -> None:
    spec(f"{OWN}\nhttp-socket = :8001\n" + "shared-socket = /a\n" * 62)
    with pytest.raises(BrokenIni, match="it has 3000 sockets, and emperord takes 64"):
        spec("http-socket==0\n" * 3000)


@pytest.mark.parametrize(
    ("option", "protocol"),
    [
        ("socket", WireProtocol.UWSGI),
        ("uwsgi-socket", WireProtocol.UWSGI),
        ("http-socket", WireProtocol.HTTP),
        ("http11-socket", WireProtocol.HTTP),
        ("fastcgi-socket", WireProtocol.FASTCGI),
        ("fastcgi-nph-socket", WireProtocol.FASTCGI),
        ("scgi-socket", WireProtocol.SCGI),
        ("scgi-nph-socket", WireProtocol.SCGI),
        ("raw-socket", WireProtocol.RAW),
        ("puwsgi-socket", WireProtocol.PERSISTENT_UWSGI),
    ],
)
def test_any_front_end_may_speak_what_the_ini_says(option: str, protocol: WireProtocol) -> None:
    text = f"socket = :8080\n{option} = {OWN}\nsocket = {OWN}\n[emperor]\nactivation = socket"
    made = spec(text)
    assert made.protocol is protocol
    assert uwsgi_options(made) == UwsgiOptions(socket_option=option)


@pytest.mark.parametrize(
    "option",
    [
        "http-socket = OWN", "http11-socket = OWN", "fastcgi-socket = OWN", "scgi-socket = OWN",
        "puwsgi-socket = OWN", "https-socket = OWN,a.crt,a.key", "protocol = http",
        "socket-protocol = fastcgi", "protocol = http\nsocket = OWN", "protocol = uwsgi",
        "socket = OWN\nprotocol = scgi", "protocol = http\nsocket = :8080",
    ],
)  # fmt: skip
def test_nginx_is_spoken_to_in_uwsgi_whatever_the_ini_says(option: str) -> None:
    made = spec(option.replace("OWN", OWN))
    assert (made.socket, made.protocol) == (OWN, WireProtocol.UWSGI)
    assert uwsgi_options(made).adoption is Adoption.BY_FD


def test_a_protocol_is_that_of_plain_sockets_alone() -> None:
    emperor = "[emperor]\nactivation = socket"
    made = spec(f"socket = {OWN}\nprotocol = http\nsocket-protocol = fastcgi\n{emperor}")
    assert (made.protocol, uwsgi_options(made).socket_option) == (WireProtocol.FASTCGI, "socket")
    assert spec(f"protocol = http\n{emperor}").protocol is WireProtocol.UWSGI


@pytest.mark.parametrize("option", [f"http-socket = {OWN}", f"protocol = http\nsocket = {OWN}"])
def test_gevent_with_a_protocol_that_nginx_lacks_is_refused(option: str) -> None:
    with pytest.raises(BrokenIni, match=r"nginx speaks uwsgi to that socket; write uwsgi-socket ="):
        spec(f"{option}\ngevent = 10")


def test_a_protocol_that_uwsgi_lacks_is_refused() -> None:
    with pytest.raises(BrokenIni, match=r"line 3: uWSGI has no protocol 'htp'; use one of uwsgi, "):
        spec("socket = :8080\nprotocol = htp")
    assert spec("protocol = htp\nhttp-socket = :8080").protocol is WireProtocol.UWSGI


@pytest.mark.parametrize(
    ("option", "foreign"),
    [
        ("socket = :8080", "0.0.0.0:8080"),
        ("http-socket = 127.0.0.1:8080", "127.0.0.1:8080"),
        ("socket = [::1]:8080", "[::1]:8080"),
        ("socket = /run//a/../b.sock", "/run/b.sock"),
        ("socket = b.sock", "/etc/uwsgi/vassals/b.sock"),
        ("socket = @b", "@b"),
        ("socket = \\0b", "@b"),
        (f"socket = /var/sockets/{DOMAIN}/second", f"/var/sockets/{DOMAIN}/second"),
        ("https-socket = :8443,a.crt,a.key", "0.0.0.0:8443"),
        ("shared-socket = :8080", "0.0.0.0:8080"),
        ("shared-socket = b.sock\nchdir = /srv", "/etc/uwsgi/vassals/b.sock"),
        ("chdir = /srv\nsocket = b.sock", "/srv/b.sock"),
        ("socket = b.sock\nchdir = /a\nchdir = /srv/./x/..\nchdir2 = /b", "/srv/b.sock"),
        ("chdir = a\nsocket = b.sock", "/etc/uwsgi/vassals/a/b.sock"),
        ("chroot = /jail\nsocket = /run/b.sock", "/jail/run/b.sock"),
        ("chroot = /jail/\nchdir = /srv\nsocket = b.sock", "/jail/srv/b.sock"),
        ("chroot = /jail\nsocket = b.sock", "/etc/uwsgi/vassals/b.sock"),
        ("chroot = /jail\nchown-socket = a\nsocket = /run/b.sock", "/run/b.sock"),
    ],
)
def test_a_socket_elsewhere_is_kept_beside_that_of_the_domain(option: str, foreign: str) -> None:
    made = spec(option)
    by_exec = option.partition("\n")[0] if option.startswith("chroot") else ""
    assert (made.socket, uwsgi_options(made)) == (
        OWN, UwsgiOptions(names_socket=False, by_exec=by_exec)
    )  # fmt: skip
    assert made.foreign_sockets == (foreign,)
    assert made.overlaps is ("shared-socket" not in option), "a successor takes it over"


@pytest.mark.parametrize("address", [":0", "127.0.0.1:", "127.0.0.1:0", "fd://3"])
def test_an_address_that_cannot_conflict_is_no_claim(address: str) -> None:
    made = spec(f"socket = {address}")
    assert (made.foreign_sockets, made.overlaps) == ((), True)


def test_a_shared_socket_is_claimed_once_and_used_by_its_number() -> None:
    made = spec("shared-socket = :8080\nhttp-socket = =0\nfile = app.py")
    assert (made.socket, made.foreign_sockets) == (OWN, ("0.0.0.0:8080",))
    for text in ("http-socket = =0\nshared-socket = :8080", "shared-socket = :1\nsocket = =1"):
        with pytest.raises(BrokenIni, match="has no such shared-socket above it; add it"):
            spec(text)
    with pytest.raises(BrokenIni, match="would replace the socket that emperord listens on"):
        spec(f"shared-socket = {OWN}\nsocket = =0")


@pytest.mark.parametrize(
    "option",
    [
        "socket = /var/sockets/b.example/socket", "socket = /var//sockets/b.example/x",
        "shared-socket = /var/sockets/b.example/socket",
        "chdir = /var/sockets\nsocket = b.example/x",
        "chroot = /var/sockets\nsocket = /b.example/socket",
    ],
)  # fmt: skip
def test_a_neighbours_socket_is_refused(option: str) -> None:
    with pytest.raises(BrokenIni, match=r"^line \d: .* of b\.example; name"):
        spec(f"master\n{option}")


@pytest.mark.parametrize("path", [f"../../../var/sockets/{DOMAIN}/socket", "socket"])
def test_a_relative_path_of_the_own_socket_is_refused(path: str) -> None:
    folder = f"\nchdir = /var/sockets/{DOMAIN}" if path == "socket" else ""
    with pytest.raises(BrokenIni, match=r"line 2: socket = .* is relative; write the path from /"):
        spec(f"socket = {path}{folder}")


def test_a_path_that_is_too_long_is_refused_with_both_lengths() -> None:
    root = Path("/" + "s" * 100)
    with pytest.raises(BrokenIni, match="has 122 bytes and the kernel takes 107; choose a shorter"):
        spec("master", sockets_dir=root)
    longest = 107 - len(f"/{DOMAIN}/socket")
    assert len(spec("master", sockets_dir=Path("/" + "s" * (longest - 1))).socket) == 107


def adoption(text: str) -> Adoption:
    return uwsgi_options(spec(text)).adoption


@pytest.mark.parametrize(
    "option",
    [
        "gevent = 100", "asyncio = 100", "tornado = 100", "map-socket = 0:1",
        "loop = gevent\nasync = 9", "gevent = 9\nthreads = 4",
        "worker-exec = /bin/true", "worker-exec2 = /bin/true", "python-worker-override = a.py",
        "stats = %(socket).stats",
    ],
)  # fmt: skip
def test_options_that_use_every_socket_get_it_by_name(option: str) -> None:
    assert adoption(f"socket = {OWN}\n{option}") is Adoption.BY_NAME
    assert adoption(option) is Adoption.BY_FD, "there is no entry of the ini to trip over"


def test_an_encrypted_socket_is_given_by_name_for_its_keys() -> None:
    text = f"https-socket = {OWN},/srv/a.crt,/srv/a.key\n[emperor]\nactivation = socket"
    made = spec(text)
    assert (made.socket, made.protocol) == (OWN, WireProtocol.TLS)
    assert uwsgi_options(made).adoption is Adoption.BY_NAME


def test_a_socket_passes_on_by_its_line() -> None:
    made = spec("# one\nsocket = %n.sock\nhttps-socket = :8443,a.crt,a.key")
    assert made.inherited == (
        InheritedSocket(f"/etc/uwsgi/vassals/{DOMAIN}.sock", f"{DOMAIN}.sock", 3),
        InheritedSocket("0.0.0.0:8443", ":8443,a.crt,a.key", 4),
    )
