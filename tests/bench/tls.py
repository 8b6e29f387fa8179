"""TLS handshakes: with a certificate that Lua finds by name, and with nginx's static one."""

import shutil
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from pathlib import Path
from statistics import median

from tests.bench.balancers import Balancer, plain, shipped
from tests.bench.certificates import self_signed
from tests.bench.ours import Ours
from tests.bench.place import place
from tests.bench.report import Row, row
from tests.bench.rounds import ROUNDS, Bench

_SECONDS = 10.0
_BATCH = 50
_NAMES = [f"app{number}.example" for number in range(1_000)]
_FRESH = [f"new{number}.example" for number in range(_BATCH * (ROUNDS + 1))]
# The host names of each round.
_CASES: dict[str, Callable[[], Iterator[Sequence[str]]]] = {
    "one certificate": lambda: repeat(_NAMES[:1] * _BATCH),
    f"{len(_NAMES):,} certificates in turn": lambda: repeat(_NAMES),
    "each certificate for the first time": lambda: (
        _FRESH[begin : begin + _BATCH] for begin in range(0, len(_FRESH), _BATCH)
    ),
}


@dataclass(frozen=True, slots=True)
class Handshakes:
    """The median time from connect() to the end of the handshake, and nginx's CPU time for each
    handshake, both in seconds. The time alone is mostly the client's."""

    seconds: float
    cpu: float


def tls(bench: Bench) -> Iterator[Row]:
    """Measure full handshakes of TLS 1.3, one after the other, without resumed sessions."""
    with place() as folder, Ours(folder) as ours:
        certificate = self_signed(folder)
        balancer, rival = shipped(folder, ours), plain(folder, ours, certificate)
        for name in (*_NAMES, *_FRESH):
            shutil.copy(certificate, balancer.certificates / f"{name}.pem")
        for side in (balancer, rival):
            side.use_one_worker()
        with balancer, rival:
            for case, batches in _CASES.items():
                what = f"TLS handshake, {case}"
                sides = {
                    "ours": partial(_next, balancer, certificate, batches()),
                    "static": partial(_next, rival, certificate, batches()),
                }
                seen = bench.paired(what, sides)
                seconds = {name: [each.seconds for each in all_] for name, all_ in seen.items()}
                cpu = {name: [each.cpu for each in all_] for name, all_ in seen.items()}
                yield row(what, "ms", seconds)
                yield row(f"{what}: CPU of nginx", "ms", cpu)


def _next(side: Balancer, certificate: Path, batches: Iterator[Sequence[str]]) -> Handshakes:
    names = next(batches)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    expected = _der(certificate)
    before = side.cpu_seconds()
    seconds = [_shake(side.secured, context, name, expected) for name in names]
    return Handshakes(median(seconds), (side.cpu_seconds() - before) / len(names))


def _shake(address: tuple[str, int], context: ssl.SSLContext, name: str, expected: bytes) -> float:
    begun = time.perf_counter()
    with (
        socket.create_connection(address, _SECONDS) as connection,
        context.wrap_socket(connection, server_hostname=name) as secured,
    ):
        took = time.perf_counter() - begun
        if secured.getpeercert(binary_form=True) != expected:
            raise ConnectionError(
                f"cannot measure {address}: it has another certificate for {name}"
            )
    return took


def _der(certificate: Path) -> bytes:
    text = certificate.read_text()
    return ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERTIFICATE") :])
