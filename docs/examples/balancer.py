"""Renders the shipped load balancer for another folder, address and ports."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from docs.examples.http2 import http2, nginx_version
from docs.examples.rewriting import listeners, rewrite

ROOT = Path(__file__).parents[2]


def render(
    folder: Path,
    http: int,
    https: int,
    backends: Sequence[str],
    addresses: Sequence[str] = ("127.0.0.1",),
) -> Path:
    """Write a nginx.conf below `folder` and return its path.

    This nginx listens on the ports `http` and `https` of `addresses`: an IPv4 address, and perhaps
    an IPv6 address in brackets. It balances to `backends`: entries as in lua/init_backends.lua.
    Entries without a port have the same two ports. Lua files, certificates (an empty folder), logs,
    pid file and temporary files are beside nginx.conf. HTTP/2 is configured
    as this machine's nginx has it. Raises LookupError when a path or port to replace is not in the
    shipped files.
    """
    place = folder / "nginx"
    lua, certificates = place / "lua", place / "certs"
    shutil.copytree(ROOT / "lua", lua)
    shutil.copy(ROOT / "nginx" / "loadbalancer.conf", place / "nginx.conf")
    (place / "temp").mkdir()
    certificates.mkdir()
    rewrite(
        (place / "nginx.conf", *lua.rglob("*.lua")),
        {
            **listeners(addresses, http, https),
            **http2(nginx_version()),
            r"/run/nginx\.pid\b": f"{place}/nginx.pid",
            r"/var/log/nginx\b": f"{place}",
            r"/var/lib/nginx\b": f"{place}/temp",
            r"/etc/nginx/lua\b": f"{lua}",
            r"/etc/nginx/certs\b": f"{certificates}",
        },
    )
    entries = ", ".join(json.dumps(entry) for entry in backends)
    (lua / "init_backends.lua").write_text(
        f"web_server_ips = {{ {entries} }}\n"
        f"web_backend_ports = {{ http = {http}, https = {https} }}\n"
    )
    return place / "nginx.conf"
