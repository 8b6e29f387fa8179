"""What a list of 4,096 slots costs a request, over a plain list of the same backends."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from docs.examples.balancer import render
from docs.figures import Limit
from emperor.model.slots import SLOTS, stretched
from tests.balancer.vectors import stock_index
from tests.bench.balancers import Balancer
from tests.bench.place import place, serving
from tests.bench.report import Row, row
from tests.bench.rounds import Bench
from tests.bench.wrk import wrk
from tests.eventually import eventually
from tests.nginx_server import free_ports

_WELL = [f"127.0.0.{number}" for number in range(11, 15)]
_DEAD = "127.0.0.15"
_CONNECTIONS = 16
_ROUNDS = 25
BACKENDS = """\
user www-data;
worker_processes 1;
pid {place}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
    log_format short "$status";
    access_log off;
    client_body_temp_path {place}/body;
    uwsgi_temp_path {place}/uwsgi;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    scgi_temp_path {place}/scgi;
    ssl_certificate     /etc/ssl/certs/ssl-cert-snakeoil.pem;
    ssl_certificate_key /etc/ssl/private/ssl-cert-snakeoil.key;
    keepalive_requests 100000;
    server {{
        {listens}
        location / {{ return 200 "well\\n"; }}
        location = /emperord-health {{ access_log {place}/probes.log short; return 200 "well\\n"; }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Requests per second, and nginx's CPU seconds for each."""

    rate: float
    cpu: float


def slots(bench: Bench) -> Iterator[Row]:
    """Compare the lists: with a well backend, and with one whose substitute is asked."""
    http, https = free_ports(2)
    backends = [*_WELL, _DEAD]
    lists = {
        "ours": (stretched(backends, SLOTS), "127.0.0.2"),
        "plain": (backends, "127.0.0.3"),
        # What differs between these two is the noise of the machine.
        "again": (backends, "127.0.0.4"),
    }
    with place() as folder, serving(_conf(folder, http, https)):
        sides = {
            name: Balancer(
                _rendered(folder / name, http, https, entries, address), address, http, https
            )
            for name, (entries, address) in lists.items()
        }
        with sides["ours"], sides["plain"], sides["again"]:
            for name in sides:
                eventually(partial(_is_marked, folder / name / "nginx" / "error.log"))
            hosts = {name: [_host(entries, owner) for owner in (_WELL[0], _DEAD)]
                     for name, (entries, _) in lists.items()}  # fmt: skip
            measured = {
                "ours": partial(cost_of, sides["ours"], hosts["ours"][0]),
                "plain list": partial(cost_of, sides["plain"], hosts["plain"][0]),
                "plain list, again": partial(cost_of, sides["again"], hosts["again"][0]),
            }
            yield from _rows(bench, f"{SLOTS:,} slots, owner well", measured, 0.99)
            measured["ours"] = partial(cost_of, sides["ours"], hosts["ours"][1])
            measured["plain list, marked too"] = partial(cost_of, sides["plain"], hosts["plain"][1])
            yield from _rows(bench, f"{SLOTS:,} slots, owner marked", measured, 0.9)


def _rows(bench: Bench, what: str, sides: dict[str, partial[Cost]], least: float) -> Iterator[Row]:
    costs = bench.paired(what, sides, _ROUNDS)
    rates = {name: [cost.rate for cost in each] for name, each in costs.items()}
    cpu = {name: [cost.cpu for cost in each] for name, each in costs.items()}
    yield row(what, "/s", rates, Limit(least, at_least=True, over="plain list"))
    yield row(f"{what}: CPU of a request", "µs", cpu)


def cost_of(balancer: Balancer, host: str | Path) -> Cost:
    """What one second of requests for a host costs, or of those of a script."""
    before = balancer.cpu_seconds()
    load = wrk(balancer.url, host, _CONNECTIONS)
    return Cost(load.rate, (balancer.cpu_seconds() - before) / load.requests)


def _is_marked(log: Path) -> bool:
    return f"backend {_DEAD}" in log.read_text() and " over http: " in log.read_text()


def _host(entries: Sequence[str], owner: str) -> str:
    hosts = (f"app{number}.example" for number in count())
    return next(host for host in hosts if entries[stock_index(host, len(entries))] == owner)


def _conf(folder: Path, http: int, https: int) -> Path:
    (folder / "backends").mkdir()
    conf = folder / "backends" / "nginx.conf"
    listens = "".join(f"listen {each}:{http}; listen {each}:{https} ssl; " for each in _WELL)
    conf.write_text(BACKENDS.format(place=conf.parent, listens=listens))
    return conf


def _rendered(folder: Path, http: int, https: int, entries: Sequence[str], address: str) -> Path:
    folder.mkdir()
    return render(folder, http, https, entries, [address])
