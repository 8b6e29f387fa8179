"""Requests per second to a running app, through the load balancer."""

from collections.abc import Iterator

from docs.figures import Limit
from tests.bench.apps import copy_apps
from tests.bench.balancers import plain, shipped
from tests.bench.certificates import self_signed
from tests.bench.knock import http_first_byte
from tests.bench.ours import Ours
from tests.bench.place import place
from tests.bench.report import Row, row
from tests.bench.rounds import Bench
from tests.bench.wrk import wrk

_DOMAIN = "ours.localhost"
_CONNECTIONS = (1, 16)
_PLAIN = "plain proxy_pass"


def fleet(bench: Bench) -> Iterator[Row]:
    """Compare the shipped balancer with a plain proxy_pass to the same backend."""
    with place() as folder, Ours(folder) as ours:
        ours.add(_DOMAIN, str(copy_apps(folder)["trivial"]))
        http_first_byte(ours.port, _DOMAIN)
        certificate = self_signed(folder)
        with shipped(folder, ours) as balancer, plain(folder, ours, certificate) as rival:
            for connections in _CONNECTIONS:
                sides = {
                    name: lambda url=side.url, many=connections: wrk(url, _DOMAIN, many)
                    for name, side in {"ours": balancer, _PLAIN: rival}.items()
                }
                what = f"through the balancer, {connections} at once"
                loads = bench.paired(what, sides)
                rates = {name: [load.rate for load in each] for name, each in loads.items()}
                p50 = {name: [load.p50 for load in each] for name, each in loads.items()}
                p99 = {name: [load.p99 for load in each] for name, each in loads.items()}
                yield row(what, "/s", rates, Limit(0.97, at_least=True, over=_PLAIN))
                yield row(f"{what}: p50", "ms", p50)
                yield row(f"{what}: p99", "ms", p99)
