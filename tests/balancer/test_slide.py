"""The Lua of the talk's slide by itself, and the choices in loadbalancer.conf."""

import asyncio
import shutil
from contextlib import AsyncExitStack
from pathlib import Path

from docs.examples.balancer import ROOT
from tests.balancer.backends import ADDRESSES, three
from tests.balancer.fleet import REFUSED, running, served
from tests.balancer.lua import Lua
from tests.balancer.vectors import VECTORS, stock_index
from tests.http_client import Request, ask
from tests.nginx_server import NginxServer, free_ports

SLIDE = """
load_module /usr/share/nginx/modules/ndk_http_module.so;
load_module /usr/share/nginx/modules/ngx_http_lua_module.so;
user www-data;
pid nginx.pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    uwsgi_temp_path uwsgi;
    fastcgi_temp_path fastcgi;
    scgi_temp_path scgi;
    init_by_lua_file init_backends.lua;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            set $route_host $host;
            set $backend_ip "";
            access_by_lua_file get_backend_ip.lua;
            proxy_pass $backend_ip;
        }}
    }}
}}
"""


class Slide(NginxServer):
    """nginx in a folder with the stock Lua files."""

    @property
    def command(self) -> list[str | Path]:
        """Paths of Lua files are relative to nginx's prefix."""
        return [*super().command, "-p", self.conf.parent]


async def test_the_stock_files_need_nothing_else(folder: Path) -> None:
    port, https = free_ports(2)
    entries = [f"{address}:{port}" for address in ADDRESSES]
    for name in ("init_backends.lua", "get_backend_ip.lua"):
        shutil.copy(ROOT / "lua" / name, folder)
    stock = (folder / "init_backends.lua").read_text()
    for number, entry in enumerate(entries, 11):
        stock = stock.replace(f'"192.0.2.{number}"', f'"{entry}"')
    (folder / "init_backends.lua").write_text(stock)
    (folder / "nginx.conf").write_text(SLIDE.format(port=port))
    async with AsyncExitStack() as stack:
        for backend in three():
            backend.ports = (port, https)
            await backend.start()
            stack.push_async_callback(backend.stop)
        await stack.enter_async_context(served(Slide(folder / "nginx.conf", "127.0.0.1", port)))
        hosts = [host for host in VECTORS if ":" not in host and host[-1] != "."]
        replies = {host: await asyncio.to_thread(ask, port, Request(host)) for host in hosts}
    assert {host: reply.text for host, reply in replies.items()} == {
        host: ADDRESSES[stock_index(host, 3)] for host in hosts
    }


async def test_rendezvous_can_replace_the_stock_hash(folder: Path, luajit: Lua) -> None:
    choice = {
        r"\n +access_by_lua_file \S+/get_backend_ip\.lua;": "",
        r"#(access_by_lua_file \S+/get_backend_ip_rendezvous\.lua;)": r"\1",
    }
    async with running(folder, three(), choice) as fleet:
        hosts = [f"app{number}.example" for number in range(20)]
        own = luajit("rendezvous", hosts, ADDRESSES)
        for host, address in zip(hosts, own, strict=True):
            assert fleet.by(await fleet.ask(Request(host))).address == address

        fleet.balancer.expect(REFUSED)
        dead, *others = fleet.backends
        await dead.stop()
        then = luajit("rendezvous", hosts, [backend.address for backend in others])
        for host, address in zip(hosts, then, strict=True):
            assert fleet.by(await fleet.ask(Request(host))).address == address


async def test_everybody_can_be_sent_to_https(folder: Path) -> None:
    async with running(folder, three(), {r"#if (\(\$scheme)": r"if \1"}) as fleet:
        reply = await fleet.ask(Request("App.example:80", "/a%20b?c=d"))
        assert (reply.status, reply.headers["location"]) == (301, "https://app.example/a%20b?c=d")
        assert [backend.heard for backend in fleet.backends] == [[], [], []]
        assert fleet.by(await fleet.ask(Request("app.example"), tls=True)) is fleet.own(
            "app.example"
        )
