"""The balancer's Lua, asked for many hosts at once: in plain Lua, and in LuaJIT inside nginx."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from docs.examples.balancer import ROOT
from tests.http_client import Request, ask
from tests.nginx_server import NginxServer, free_ports

DRIVER = Path(__file__).with_name("driver.lua")

# The folder, what is wanted and the backends come as arguments; the hosts as lines.
_PLAIN = """
package.path = arg[1] .. "/?.lua"
local entries = {}
for entry in arg[3]:gmatch("%S+") do
    entries[#entries + 1] = entry
end
local answers = dofile(arg[1] .. "/driver.lua")(arg[1], arg[2], entries, io.lines())
io.write(table.concat(answers, "\\n"))
"""

_NGINX = """
load_module /usr/share/nginx/modules/ndk_http_module.so;
load_module /usr/share/nginx/modules/ngx_http_lua_module.so;
user www-data;
pid {folder}/nginx.pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    uwsgi_temp_path {folder}/uwsgi;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    lua_package_path "{folder}/?.lua;/usr/share/lua/5.1/?.lua";
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 10m;
        client_body_buffer_size 10m;
        location / {{
            content_by_lua_block {{
                ngx.req.read_body()
                local entries = {{}}
                for entry in ngx.unescape_uri(ngx.var.args):gmatch("%S+") do
                    entries[#entries + 1] = entry
                end
                local hosts = ngx.req.get_body_data():gmatch("([^\\n]*)\\n")
                local driver = dofile("{folder}/driver.lua")
                local what = ngx.var.uri:sub(2)
                ngx.print(table.concat(driver("{folder}", what, entries, hosts), "\\n"))
            }}
        }}
    }}
}}
"""


class Lua(Protocol):
    """A way to run Lua."""

    def __call__(self, what: str, hosts: Sequence[str], backends: Sequence[str] = ()) -> list[str]:
        """One answer for each host. `what`: `hash`, the stock one; `rendezvous`, the backend;
        `substitutes`, the numbers of all backends but that of the first slot; `parse`, where the
        hosts are entries of a list, `address port` or `bad`."""


def copy_of_the_lua(folder: Path) -> None:
    """Put the shipped files into `folder`, and the driver beside them: a checkout may be closed to
    nginx's workers."""
    shutil.copytree(ROOT / "lua", folder, dirs_exist_ok=True)
    shutil.copy(DRIVER, folder)


def plain(program: str, folder: Path) -> Lua:
    """Lua without nginx: `program` is lua5.1 or lua5.4, `folder` a copy of the Lua."""

    script = folder / "plain.lua"

    def run(what: str, hosts: Sequence[str], backends: Sequence[str] = ()) -> list[str]:
        lines = "".join(f"{host}\n" for host in hosts).encode()
        command: list[str | Path] = [program, script, folder, what, " ".join(backends)]
        result = subprocess.run(command, input=lines, stdout=subprocess.PIPE, check=True)
        return result.stdout.decode().split("\n")

    script.write_text(_PLAIN)
    return run


@contextmanager
def inside_nginx(folder: Path) -> Iterator[Lua]:
    """LuaJIT in a running nginx; `folder` is a copy of the Lua that its workers can read."""
    [port] = free_ports(1)
    conf = folder / "nginx.conf"
    conf.write_text(_NGINX.format(folder=folder, port=port))

    def run(what: str, hosts: Sequence[str], backends: Sequence[str] = ()) -> list[str]:
        lines = "".join(f"{host}\n" for host in hosts).encode()
        path = f"/{what}?{'%20'.join(backends)}"
        reply = ask(port, Request("localhost", path, "POST", body=lines))
        assert reply.status == 200, reply.text
        return reply.text.split("\n")

    with NginxServer(conf, "127.0.0.1", port):
        yield run
