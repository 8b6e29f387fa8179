"""Inis as people have them, through the real nginx and daemon."""

import shutil
from pathlib import Path

import pytest

from tests.backend import APPS, Backend
from tests.eventually import eventually
from tests.nginx_server import free_ports

SERVED = {
    "a protocol for a port": "protocol = http\nsocket = 127.0.0.1:PORT",
    "a protocol by its other name": "socket-protocol = fastcgi\nsocket = 127.0.0.1:PORT",
    "a protocol and no socket": "protocol = scgi",
    "a protocol for the own socket": "protocol = http\nsocket = OWN",
    "http at the own socket": "http-socket = OWN",
    "http 1.1 at the own socket": "http11-socket = OWN",
    "fastcgi at the own socket": "fastcgi-socket = OWN",
    "persistent uwsgi at the own socket": "puwsgi-socket = OWN",
    "each socket a protocol": "protocol = http\nuwsgi-socket = OWN\nsocket = 127.0.0.1:PORT",
    "a descriptor of systemd's": "http-socket = fd://3",
    "a descriptor that is not there": "socket = fd://7",
    "a comment behind another section": "threads = 2\n[app:old] # not used\nsocket = :1\n[uwsgi]",
    "plugins beside a block": "plugins-dir = /usr/lib/uwsgi\nplugins = x\nif-env = PATH\nendif =",
    "a block that is left open": "if-env = PATH\nenv = SEEN=yes",
    "a loop that is left open": "for = a b\nenv = %(_)=yes",
    "a block that does not apply": "threads = 2\nif-env = NO_SUCH\nidle = 1\nendif =",
    "a comment in another alphabet": "# caf\udce9",
    "a value in another alphabet": "env = NAME=caf\udce9\nprocname-prefix = \udce9",
    "workers as a command says": "processes = @(exec://nproc)",
    "a shared socket": "shared-socket = 127.0.0.1:PORT\nhttp-socket = =0",
}


def ini(backend: Backend, options: str) -> str:
    """An ini of a.example's with these options."""
    own = str(backend.sockets / "a.example" / "socket")
    options = options.replace("OWN", own).replace("PORT", str(free_ports(1)[0]))
    return f"[uwsgi]\nfile = {APPS}/plain.py\n{options}\n"


@pytest.mark.parametrize("options", SERVED.values(), ids=SERVED.keys())
def test_what_uwsgi_serves_is_served(backend: Backend, options: str) -> None:
    backend.drop("a.example", ini(backend, options))
    backend.until("a.example", "parked")
    assert [backend.get("a.example").status for _ in range(2)] == [200, 200]


REFUSED = {
    "no number of workers": ("processes = auto", "processes = auto counts as 0, so no worker"),
    "a variable that is not set": (
        "workers = $(NO_SUCH)",
        "$(NO_SUCH) has no value, since",
    ),
    "a placeholder of 0": ("n = 0\nworkers = %(n)", "workers = 0 counts as 0"),
    "fewer than no workers": ("processes = -1", "processes = -1 is out of range"),
    "no greenlets": ("gevent = true", "gevent = true counts as 0, so no worker can handle"),
    "no such protocol": ("protocol = htp\nsocket = 127.0.0.1:PORT", "uWSGI has no protocol 'htp'"),
    "no such shared socket": ("http-socket = =0", "has no such shared-socket above it"),
}


@pytest.mark.parametrize(("options", "cause"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_work_is_refused_at_once(backend: Backend, options: str, cause: str) -> None:
    backend.expect("cannot serve a.example.ini")
    backend.drop("a.example", ini(backend, options))
    assert cause in eventually(lambda: refusal(backend), alive=[backend.process])


def refusal(backend: Backend) -> str:
    """Why a.example is refused, or nothing if it is not."""
    _, status = backend.call("GET", "/v1/status")
    return "".join(refused["error"] for refused in status["refused"])


def test_two_sites_have_a_socket_of_one_name_in_their_folders(backend: Backend) -> None:
    sites = {}
    for domain in ("a.example", "b.example"):
        site = sites[domain] = backend.folder / domain
        site.mkdir()
        shutil.copy(APPS / "plain.py", site / "wsgi.py")
        text = f"[uwsgi]\nchdir = {site}\nsocket = myproject.sock\nmodule = wsgi\n"
        backend.drop(domain, text)
    for domain in sites:
        backend.until(domain, "parked")
        assert backend.get(domain).status == 200
    assert all(Path(site, "myproject.sock").is_socket() for site in sites.values())
