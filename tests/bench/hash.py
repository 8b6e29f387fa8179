"""The CPU time that each request needs for the choice of its backend, in the LuaJIT of nginx."""

import shutil
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from docs.examples.balancer import render
from emperor.model.slots import SLOTS, stretched
from tests.bench.balancers import Balancer
from tests.bench.place import place
from tests.bench.report import Row, row
from tests.bench.rounds import Bench
from tests.bench.wrk import wrk
from tests.nginx_server import free_ports

_HOST = "customer-0001.apps.example.net"
_SIZES = (3, 16, 200)
_CONNECTIONS = 16
_SCRIPT = Path(__file__).with_name("hash.lua")
# Without health.lua, since the backends do not exist.
_CONF = """\
include /etc/nginx/modules-enabled/*.conf;
user www-data;
pid {place}/nginx.pid;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {place}/temp/body;
    uwsgi_temp_path {place}/temp/uwsgi;
    proxy_temp_path {place}/temp/proxy;
    fastcgi_temp_path {place}/temp/fastcgi;
    scgi_temp_path {place}/temp/scgi;
    lua_package_path "{place}/lua/?.lua;/usr/share/lua/5.1/?.lua";
    lua_shared_dict backends 1m;
    init_by_lua_file {place}/lua/check_backends.lua;
    server {{
        listen 127.0.0.1:{port};
        set $route_host $host;
        set $backend_ip "";
        set $folder {place}/lua/;
        location = /measured {{ content_by_lua_file {place}/hash.lua; }}
        location = /without  {{ empty_gif; }}
        location = /with     {{ access_by_lua_file {place}/lua/get_backend_ip.lua; empty_gif; }}
    }}
}}
"""


def placement(bench: Bench) -> Iterator[Row]:
    """Measure each Lua file alone, and the cost of the hash for requests that do nothing else."""
    for size in _SIZES:
        with place() as folder, _balancer(folder, _addresses(size)) as nginx:
            yield from _runs(bench, nginx, size)
            if size == min(_SIZES):
                yield from _requests(bench, nginx)
    yield from _slots(bench)


def _slots(bench: Bench) -> Iterator[Row]:
    """What the length of the list costs, without the noise of requests."""
    what = f"hash of a host name, {SLOTS:,} slots"
    backends = _addresses(5)
    with (
        place() as one,
        place() as other,
        _balancer(one, stretched(backends, SLOTS)) as ours,
        _balancer(other, backends) as plain,
    ):
        sides = {
            "ours": partial(_one_run, ours, run="get_backend_ip.lua"),
            "plain list": partial(_one_run, plain, run="get_backend_ip.lua"),
        }
        yield row(what, "µs", bench.paired(what, sides))


def _runs(bench: Bench, nginx: Balancer, size: int) -> Iterator[Row]:
    what = f"hash of a host name, {size} backends"
    sides = {
        "ours": partial(_one_run, nginx, run="get_backend_ip.lua"),
        "by rendezvous": partial(_one_run, nginx, run="get_backend_ip_rendezvous.lua"),
    }
    yield row(what, "µs", bench.paired(what, sides))
    what = f"choice of a substitute, {size} backends"
    sides = {
        "ours": partial(_one_run, nginx, run="choice", marked="yes"),
        "nothing wrong with its own": partial(_one_run, nginx, run="choice"),
    }
    yield row(what, "µs", bench.paired(what, sides))


def _requests(bench: Bench, nginx: Balancer) -> Iterator[Row]:
    what = f"nginx alone with the hash, {_CONNECTIONS} at once"
    sides = {
        "ours": partial(_load, nginx, "with"),
        "without": partial(_load, nginx, "without"),
    }
    loads = bench.paired(what, sides)
    yield row(what, "/s", {name: [rate for rate, _ in each] for name, each in loads.items()})
    cpu = {name: [cpu for _, cpu in each] for name, each in loads.items()}
    yield row(f"{what}: CPU of a request", "µs", cpu)


def _addresses(size: int) -> list[str]:
    return [f"192.0.2.{number}" for number in range(1, size + 1)]


def _balancer(folder: Path, entries: Sequence[str]) -> Balancer:
    http, https = free_ports(2)
    conf = render(folder, http, https, entries)
    conf.write_text(_CONF.format(place=conf.parent, port=http))
    # nginx's workers often cannot read the checkout.
    shutil.copy(_SCRIPT, conf.parent)
    return Balancer(conf, "127.0.0.1", http, https)


def _one_run(nginx: Balancer, **question: str) -> float:
    url = f"{nginx.url}measured?{urllib.parse.urlencode(question)}"
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Host": _HOST})) as reply:
        return float(reply.read())


def _load(nginx: Balancer, path: str) -> tuple[float, float]:
    """Requests per second, and nginx's CPU seconds per request."""
    before = nginx.cpu_seconds()
    load = wrk(nginx.url + path, _HOST, _CONNECTIONS)
    return load.rate, (nginx.cpu_seconds() - before) / load.requests
