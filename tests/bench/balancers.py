"""The compared balancers: the shipped configuration, and a plain nginx with the same backend."""

from contextlib import ExitStack
from pathlib import Path
from typing import Self

import psutil

from docs.examples.balancer import render
from docs.examples.http2 import adapt, nginx_version
from docs.examples.rewriting import rewrite
from tests.bench.cpu import cpu_seconds
from tests.bench.ours import Ours
from tests.bench.place import serving

# The backend gets the same requests, on the same kind of connections, as from the shipped balancer.
_PLAIN = """\
user www-data;
worker_processes auto;
pid {place}/nginx.pid;
worker_rlimit_nofile 20000;
events {{ worker_connections 16384; }}
http {{
    access_log {place}/access.log;
    client_body_temp_path {place}/body;
    uwsgi_temp_path {place}/uwsgi;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    scgi_temp_path {place}/scgi;
    ssl_certificate     {certificate};
    ssl_certificate_key {certificate};
    ssl_protocols       TLSv1.2 TLSv1.3;
    ssl_session_cache   shared:tls:50m;
    ssl_session_tickets off;
    upstream backend {{
        server 127.0.0.1:{http};
        keepalive 64;
    }}
    server {{
        listen {address}:{http} backlog=4096;
        listen {address}:{https} backlog=4096 ssl http2;
        location / {{
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection        "";
            proxy_set_header Host              $http_host;
            proxy_set_header X-Forwarded-For   $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host  $http_host;
            proxy_set_header X-Forwarded-Port  $server_port;
            proxy_set_header X-Request-Id      $request_id;
            proxy_set_header Proxy             "";
        }}
    }}
}}
"""


class Balancer:
    """nginx that listens on the ports `http` and `https` of `address`. A context manager."""

    def __init__(self, conf: Path, address: str, http: int, https: int) -> None:
        self.url = f"http://{address}:{http}/"
        self.secured = (address, https)
        self.certificates = conf.with_name("certs")
        self._conf = conf
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._process = self._stack.enter_context(serving(self._conf))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def use_one_worker(self) -> None:
        """Use a single worker, since each worker caches certificates of its own. Call this
        before the start."""
        rewrite([self._conf], {r"worker_processes auto;": "worker_processes 1;"})

    def cpu_seconds(self) -> float:
        """The CPU time of the workers so far."""
        return sum(map(cpu_seconds, self.workers()))

    def workers(self) -> list[psutil.Process]:
        """The processes that answer."""
        return psutil.Process(self._process.pid).children()


def shipped(folder: Path, backend: Ours) -> Balancer:
    """The shipped balancer with all its Lua, on the backend's ports and another address. It has no
    certificate but the default."""
    address = "127.0.0.2"
    place = folder / "balancer"
    place.mkdir()
    conf = render(place, backend.port, backend.tls_port, ["127.0.0.1"], [address])
    return Balancer(conf, address, backend.port, backend.tls_port)


def plain(folder: Path, backend: Ours, certificate: Path) -> Balancer:
    """A plain nginx with proxy_pass. The file `certificate` holds the key too."""
    address = "127.0.0.3"
    place = folder / "plain-balancer"
    place.mkdir()
    conf = place / "nginx.conf"
    text = _PLAIN.format(
        place=place,
        address=address,
        http=backend.port,
        https=backend.tls_port,
        certificate=certificate,
    )
    conf.write_text(text)
    adapt(conf, nginx_version())
    return Balancer(conf, address, backend.port, backend.tls_port)
